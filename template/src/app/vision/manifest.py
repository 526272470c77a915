"""Detector folders: an ONNX graph, and a manifest that says what it takes and what it finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from app.inference.manifest import GRAPH, ModelManifest, check_files, read_manifest


class Manifest(ModelManifest):
    """What a detector's `model.json` declares."""

    task: Literal["detection"] = "detection"
    layout: Literal["yolo"] = Field(description="`[batch, 4 + labels, cells]`: centre, size in input pixels, scores")
    input: str = Field(default="images", description="name of the input: `[batch, 3, height, width]`, RGB, 0 to 1")
    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    max_batch: int = Field(default=1024, ge=1, description="1 for a graph that was exported with a batch of one")
    labels: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, description="in the order of the scores")


@dataclass(frozen=True, slots=True)
class DetectionModel:
    """A detector on disk whose files are the declared ones."""

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


def load_detection_model(folder: Path) -> DetectionModel:
    """Read a detector's folder, and check its files.

    Raises:
        StartupError: the manifest, a file or a checksum is not what it should be.
    """
    manifest = read_manifest(folder, Manifest, "detection model")
    check_files(folder, manifest.files)
    return DetectionModel(manifest, folder)
