"""A project to create: its name, answers, destination and template, all checked."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aiapi.source import Source


@dataclass(frozen=True)
class NewProject:
    """A project to create; `ask` lets Copier prompt for missing answers."""

    name: str
    destination: Path
    answers: Mapping[str, str]
    source: Source
    ask: bool = False


def destination(name: str, into: Path | None) -> Path:
    """Return the absolute path of the project's folder.

    Raises:
        DestinationError: If something is in the way, or the folder is not writable.
    """
    path = Path(os.path.abspath((into or Path(name)).expanduser()))  # noqa: PTH100 - keeps symbolic links
    if path.is_dir():
        if any(path.iterdir()):
            raise DestinationError(
                f"{path} is not empty.", remedy="Choose another folder with --into, or empty this one first."
            )
        _require_writable(path)
    elif path.exists() or path.is_symlink():
        raise DestinationError(f"{path} is a file.", remedy="Choose another folder with --into, or move it away.")
    elif not path.parent.is_dir():
        remedy = f"Create it first: mkdir -p {shlex.quote(str(path.parent))}"
        raise DestinationError(f"{path.parent} is not a folder.", remedy=remedy)
    else:
        _require_writable(path.parent)
    return path


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DestinationError(
            f"{folder} is not writable.", remedy="Choose another folder with --into, or change its permissions."
        )


def enclosing_repository(path: Path) -> str | None:
    """Return the root of the git repository in which `path` lies, or None."""
    return git.output("rev-parse", "--show-toplevel", cwd=path if path.is_dir() else path.parent)


def equivalent_command(
    project: NewProject, answers: Mapping[str, str], flags: Collection[str], extra: Sequence[str] = ()
) -> str:
    """Return the command that creates the same project without prompting.

    `flags` are the questions that have a flag; `--data` answers the others. Choices are always included, free text only
    if it differs from the default.
    """
    known = {option.name: option for option in project.source.questions or ()}
    words = ["aiapi", "new", project.name, "--defaults"]
    for name, value in answers.items():
        option = known.get(name)
        if name == "project_name" or (option and not option.choices and value == option.default):
            continue
        words += [f"--{name.replace('_', '-')}", value] if name in flags else ["--data", f"{name}={value}"]
    if project.source.given:
        words += ["--template", project.source.given]
    return shlex.join([*words, *extra])
