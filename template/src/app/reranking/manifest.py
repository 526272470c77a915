"""Folders of cross-encoders: an ONNX graph, its tokenizer, and a manifest that says what they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import StartupError
from app.inference.manifest import MANIFEST, PROVIDERS, Provider
from app.inference.model_folders import GRAPH, TOKENIZER, check_files, find_manifests

TASK = "rerank"


class Manifest(BaseModel):
    """What the `model.json` of a cross-encoder declares."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    task: Literal["rerank"]
    max_tokens: int = Field(default=512, ge=8, description="the most that it reads of a query and a document together")
    max_batch: int = Field(default=32, ge=1, le=1024, description="pairs that run together")
    activation: Literal["sigmoid", "none"] = Field(default="sigmoid", description="makes scores of its logits")
    providers: list[Provider] = Field(default=[], description=PROVIDERS)
    files: dict[str, str] = Field(description="sha256 of each file")


@dataclass(frozen=True, slots=True)
class CrossEncoderModel:
    """A cross-encoder on disk whose files are the declared ones."""

    manifest: Manifest
    folder: Path

    @property
    def identity(self) -> str:
        """Name and version, as every answer carries them."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.folder / GRAPH


def find_cross_encoders(folder: Path, name: str | None = None) -> Sequence[CrossEncoderModel]:
    """Read every model below a folder whose task is `rerank`, or all versions of one, and check its files.

    Raises:
        StartupError: the folder, a manifest, a file or a checksum is not what it should be.
    """
    return [load_cross_encoder(path.parent) for path, task in find_manifests(folder, name).items() if task == TASK]


def load_cross_encoder(folder: Path) -> CrossEncoderModel:
    """Read the folder of a cross-encoder, and check its files.

    Raises:
        StartupError: the manifest, a file or a checksum is not what it should be.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StartupError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise StartupError(f"{path} is not a valid manifest of a cross-encoder: {error}") from error
    # A model that runs elsewhere needs no graph here; one that should, and is missing, is missed when it is opened.
    check_files(path, manifest.files, {TOKENIZER, *({GRAPH} if (folder / GRAPH).exists() else ())})
    return CrossEncoderModel(manifest, folder)
