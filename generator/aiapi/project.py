"""A project that may be made: its name, answers, destination and template, all checked."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiapi.source import Source


# The questions that have a flag of their own; --data answers any other.
FLAGS = ("description", "author", "license", "python_version", "vector_store", "task_queue", "inference")


@dataclass(frozen=True)
class Project:
    """What is to be made; `ask` is true when Copier shall prompt for the answers that are missing."""

    name: str
    destination: Path
    answers: Mapping[str, str]
    source: Source
    ask: bool = False


def destination(name: str, into: Path | None) -> Path:
    """Return the absolute folder that becomes the project.

    Raises:
        DestinationError: When something is in the way, or the folder cannot be written.
    """
    path = Path(os.path.abspath((into or Path(name)).expanduser()))  # noqa: PTH100 - keeps symbolic links
    if path.is_dir():
        if any(path.iterdir()):
            raise DestinationError(
                f"{path} is not empty.", remedy="Choose another folder with --into, or empty this one first."
            )
        _writable(path)
    elif path.exists() or path.is_symlink():
        raise DestinationError(f"{path} is a file.", remedy="Choose another folder with --into, or move it away.")
    elif not path.parent.is_dir():
        remedy = f"Make it first: mkdir -p {shlex.quote(str(path.parent))}"
        raise DestinationError(f"{path.parent} is not a folder.", remedy=remedy)
    else:
        _writable(path.parent)
    return path


def _writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DestinationError(
            f"{folder} cannot be written.", remedy="Choose another folder with --into, or change its permissions."
        )


def enclosing_repository(path: Path) -> str | None:
    """Return the top of the git repository that `path` would lie in, or None."""
    return git.ask("rev-parse", "--show-toplevel", cwd=path if path.is_dir() else path.parent)


def equivalent_command(project: Project, answers: Mapping[str, str], extra: Sequence[str] = ()) -> str:
    """Write the command that makes the same project without asking anything.

    Choices are always spelled out, text only where it differs from its default.
    """
    known = {option.name: option for option in project.source.questions or ()}
    words = ["aiapi", "new", project.name, "--defaults"]
    for name, value in answers.items():
        option = known.get(name)
        if name == "project_name" or (option and not option.choices and value == option.default):
            continue
        words += [f"--{name.replace('_', '-')}", value] if name in FLAGS else ["--data", f"{name}={value}"]
    if project.source.given:
        words += ["--template", project.source.given]
    return shlex.join([*words, *extra])
