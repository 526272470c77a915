"""Manifests of cross-encoders, and loading their folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from app.inference.manifest import GRAPH, TOKENIZER, ModelManifest, check_files, read_manifest
from app.inference.model_folders import find_manifests

TASK = "rerank"


class CrossEncoderManifest(ModelManifest):
    """The `model.json` of a cross-encoder."""

    task: Literal["rerank"]
    max_tokens: int = Field(default=512, ge=8, description="most tokens of a query and a document together")
    max_batch: int = Field(default=32, ge=1, le=1024, description="most pairs of a batch")
    activation: Literal["sigmoid", "none"] = Field(default="sigmoid", description="turns its logits into scores")


@dataclass(frozen=True, slots=True)
class CrossEncoderModel:
    """A cross-encoder on disk, with verified files."""

    manifest: CrossEncoderManifest
    folder: Path

    @property
    def identity(self) -> str:
        """NAME@VERSION, as in responses."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def graph(self) -> Path:
        """Path of the ONNX file, which may be missing if the model runs on another server."""
        return self.folder / GRAPH


def find_cross_encoders(folder: Path, name: str | None = None) -> Sequence[CrossEncoderModel]:
    """Read the models with the task `rerank` below a folder, optionally of one name only, and verify their files.

    Raises:
        StartupError: the folder is missing, a manifest is invalid, or a file does not match its checksum.
    """
    return [load_cross_encoder(path.parent) for path, task in find_manifests(folder, name).items() if task == TASK]


def load_cross_encoder(folder: Path) -> CrossEncoderModel:
    """Read the folder of a cross-encoder and verify its files.

    Raises:
        StartupError: the manifest is invalid, a file is missing, or a checksum does not match.
    """
    manifest = read_manifest(folder, CrossEncoderManifest, "cross-encoder")
    check_files(folder, manifest.files, {TOKENIZER})
    return CrossEncoderModel(manifest, folder)
