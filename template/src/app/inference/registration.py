"""Registrations: how the model repository identifies and opens a registered model of any task."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from app.inference.tensor_model import ServedModel


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered model with verified files, and how to open it.

    Attributes:
        name: the model's name; its versions may have different tasks.
        task: the task that the manifest declares.
        manifest: the model's manifest; the model is reopened only if it changes.
        open: opens, tries, measures and warms up the model; raises StartupError.
    """

    name: str
    version: str
    task: str
    manifest: BaseModel
    open: Callable[[], AbstractAsyncContextManager[ServedModel]]

    @property
    def identity(self) -> tuple[str, str]:
        """Name and version."""
        return self.name, self.version

    def is_called(self, named: str) -> bool:
        """Return whether the given name, or NAME@VERSION, refers to this model."""
        return named in {self.name, f"{self.name}@{self.version}"}


FindRegistered = Callable[[Path, str | None], Sequence[Registration]]
"""Finds models of one task below a folder, optionally of one name only, and verifies their files; blocks.

Raises StartupError if a manifest is invalid, a file is missing or a checksum does not match.
"""
