"""Commands that are printed for the user to run: they work from where the user stands, and reach this project only."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import git, living

if TYPE_CHECKING:
    from aiapi.living import Living


def with_git(project: Living, command: str) -> str:
    """Write a command of git, like `reset --hard`."""
    return f"git {command}" if _is_here(project) else f"git -C {quote(str(project.folder))} {command}"


def with_git_on(project: Living, command: str, file: str) -> str:
    """Write a command of git that is about one file of the project."""
    at = "git" if Path.cwd() == project.folder else f"git -C {quote(str(project.folder))}"
    return f"{at} {command} -- {file}"


def with_aiapi(project: Living, command: str) -> str:
    """Write a command of aiapi that takes the project's folder as its last argument, like `update --continue`."""
    here = living.root(Path.cwd()) == project.folder
    return f"aiapi {command}" if here else f"aiapi {command} {quote(str(project.folder))}"


def put_aside(project: Living) -> str:
    """Write the command that puts aside what is not committed, untracked files included."""
    return with_git(project, "stash -u" if project.is_whole else "stash push -u -- .")


def after_update(project: Living, version: str) -> list[str]:
    """Write what comes after an update, one command a line."""
    name = project.folder.name
    only = "" if project.is_whole else " -- ."
    return [
        *([] if _is_here(project) else [f"cd {quote(str(project.folder))}"]),
        f"git diff --staged{only}    # what has changed",
        "uv sync && uv run poe check && uv run poe test",
        f'git commit {"-am" if project.is_whole else "-m"} "Update {name} to aiapi {version}"{only}',
    ]


def _is_here(project: Living) -> bool:
    """Tell whether git, run where the user stands, works on the project and on nothing else."""
    here = Path.cwd()
    if not project.is_whole:
        return here == project.folder
    top = git.ask("rev-parse", "--show-toplevel", cwd=here)
    return top is not None and Path(top).resolve() == project.top
