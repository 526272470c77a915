"""Write the commands that the user is told to run: valid in the current directory, and limited to this project."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.project import project_root

if TYPE_CHECKING:
    from aiapi.project import Project


def git_command(project: Project, command: str) -> str:
    """Write a git command, like `reset --hard`."""
    return f"git {command}" if _is_here(project) else f"git -C {quote(str(project.folder))} {command}"


def git_file_command(project: Project, command: str, file: str) -> str:
    """Write a git command that applies to one file of the project."""
    start = "git" if Path.cwd() == project.folder else f"git -C {quote(str(project.folder))}"
    return f"{start} {command} -- {file}"


def aiapi_command(project: Project, command: str) -> str:
    """Write an aiapi command that takes the project's folder as its last argument, like `update --continue`."""
    here = project_root(Path.cwd()) == project.folder
    return f"aiapi {command}" if here else f"aiapi {command} {quote(str(project.folder))}"


def stash_command(project: Project) -> str:
    """Write the command that stashes uncommitted changes, untracked files included."""
    return git_command(project, "stash -u" if project.fills_repository else "stash push -u -- .")


def next_steps(project: Project, version: str) -> list[str]:
    """Write the commands that follow an update, one a line."""
    name = project.folder.name
    only = "" if project.fills_repository else " -- ."
    return [
        *([] if _is_here(project) else [f"cd {quote(str(project.folder))}"]),
        f"git diff --staged{only}    # what has changed",
        "uv sync && uv run poe check && uv run poe test",
        f'git commit {"-am" if project.fills_repository else "-m"} "Update {name} to aiapi {version}"{only}',
    ]


def _is_here(project: Project) -> bool:
    """Tell whether git, run in the current directory, works on the project and nothing else."""
    here = Path.cwd()
    if not project.fills_repository:
        return here == project.folder
    top = git.output("rev-parse", "--show-toplevel", cwd=here)
    return top is not None and Path(top).resolve() == project.top
