"""Model folders of cross-encoders: an ONNX graph, its tokenizer and a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from app.inference.manifest import GRAPH, TOKENIZER, ModelManifest, check_files, read_manifest
from app.inference.model_folders import find_manifests

TASK = "rerank"


class Manifest(ModelManifest):
    """The `model.json` of a cross-encoder."""

    task: Literal["rerank"]
    max_tokens: int = Field(default=512, ge=8, description="the most that it reads of a query and a document together")
    max_batch: int = Field(default=32, ge=1, le=1024, description="pairs that run together")
    activation: Literal["sigmoid", "none"] = Field(default="sigmoid", description="makes scores of its logits")


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
    manifest = read_manifest(folder, Manifest, "cross-encoder")
    check_files(folder, manifest.files, {TOKENIZER})
    return CrossEncoderModel(manifest, folder)
