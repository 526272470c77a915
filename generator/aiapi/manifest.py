"""List what a rendered project contains: files with their sizes, dependencies and containers."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Manifest:
    """The contents of a rendered project.

    `files` maps each path to its size in bytes; `dependencies` are those at run time, `others` those of extras and
    dependency groups; `containers` maps each service of compose.yaml to its image, or to "built from this project".
    """

    files: dict[str, int]
    dependencies: tuple[str, ...]
    others: tuple[str, ...]
    containers: dict[str, str]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(self.files.values())

    @property
    def dependency_names(self) -> frozenset[str]:
        """The normalised names of all required packages."""
        found = (_NAME.match(requirement) for requirement in (*self.dependencies, *self.others))
        return frozenset(re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match)


def read_manifest(folder: Path) -> Manifest:
    """Read the contents of a project that was just rendered."""
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Manifest(dict(sorted(files.items())), *_dependencies(folder), _containers(folder))


def _dependencies(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dependencies at run time, and those of extras and groups."""
    file = folder / "pyproject.toml"
    content = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    project = content.get("project", {})
    groups = [*project.get("optional-dependencies", {}).values(), *content.get("dependency-groups", {}).values()]
    # An entry that includes another group is not text.
    others = (each for group in groups for each in group if isinstance(each, str))
    return tuple(sorted(project.get("dependencies", ()))), tuple(sorted(others))


def _containers(folder: Path) -> dict[str, str]:
    import yaml  # noqa: PLC0415 - loaded by Copier anyway

    file = folder / "compose.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8")) or {} if file.is_file() else {}
    services = content.get("services") or {}
    return {name: str(service.get("image", "built from this project")) for name, service in services.items()}
