"""Taking stock of a rendered project: files, sizes, dependencies and containers."""

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
    """What a rendered project consists of.

    `files` maps each path to its size in bytes; `dependencies` are those of the service at run time, `others` those of
    its extras and of its developers; `containers` maps each service of compose.yaml to its image, or to
    "built from this project".
    """

    files: dict[str, int]
    dependencies: tuple[str, ...]
    others: tuple[str, ...]
    containers: dict[str, str]

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(self.files.values())

    @property
    def dependency_names(self) -> frozenset[str]:
        """The normalised names of all packages that the project asks for."""
        found = (_NAME.match(requirement) for requirement in (*self.dependencies, *self.others))
        return frozenset(re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match)


def read_manifest(folder: Path) -> Manifest:
    """Take stock of a project that was just rendered and holds nothing else."""
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Manifest(dict(sorted(files.items())), *_dependencies(folder), _containers(folder))


def _dependencies(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the service needs at run time, and what its extras and groups add."""
    file = folder / "pyproject.toml"
    content = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    project = content.get("project", {})
    groups = [*project.get("optional-dependencies", {}).values(), *content.get("dependency-groups", {}).values()]
    # A group may include another one, which is no text.
    others = (each for group in groups for each in group if isinstance(each, str))
    return tuple(sorted(project.get("dependencies", ()))), tuple(sorted(others))


def _containers(folder: Path) -> dict[str, str]:
    import yaml  # noqa: PLC0415 - loaded by Copier anyway

    file = folder / "compose.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8")) or {} if file.is_file() else {}
    services = content.get("services") or {}
    return {name: str(service.get("image", "built from this project")) for name, service in services.items()}
