"""What a model repository knows of a registered model, whatever the model is for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from app.inference.tensor_model import ServedModel


@dataclass(frozen=True, slots=True)
class Registration:
    """A model on disk whose files are the declared ones, and how it is opened.

    Attributes:
        name: what it is called; its versions may have different tasks.
        task: what it is for.
        manifest: what it declares; while this stays the same, so does the model.
        open: tries, measures and warms it, with what a feature makes of it; raises StartupError.
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
        """Tell whether this is what somebody means who says a name, or NAME@VERSION."""
        return named in {self.name, f"{self.name}@{self.version}"}


FindRegistered = Callable[[Path, str | None], Sequence[Registration]]
"""Finds models of one task below a folder, or all versions of one name, and checks their files; blocks.

Raises StartupError where a manifest, a file or a checksum is not what it should be.
"""
