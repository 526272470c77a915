"""Manifests of detectors, and loading their folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from app.inference.manifest import GRAPH, ModelManifest, check_files, read_manifest


class DetectionManifest(ModelManifest):
    """The `model.json` of a detector."""

    task: Literal["detection"] = "detection"
    layout: Literal["yolo"] = Field(description="`[batch, 4 + labels, cells]`: centre, size in input pixels, scores")
    input: str = Field(default="images", description="name of the input: `[batch, 3, height, width]`, RGB, 0 to 1")
    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    max_batch: int = Field(default=1024, ge=1, description="1 for a graph that was exported with a batch of one")
    labels: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, description="in the order of the scores")


@dataclass(frozen=True, slots=True)
class DetectionModel:
    """A detector on disk, with verified files."""

    manifest: DetectionManifest
    folder: Path

    @property
    def identity(self) -> str:
        """NAME@VERSION, as in responses."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def graph(self) -> Path:
        """Path of the ONNX file, which may be missing if the model runs on another server."""
        return self.folder / GRAPH


def load_detection_model(folder: Path) -> DetectionModel:
    """Read a detector's folder and verify its files.

    Raises:
        StartupError: the manifest is missing or invalid, a file is missing, or a checksum does not match.
    """
    manifest = read_manifest(folder, DetectionManifest, "detection model")
    check_files(folder, manifest.files)
    return DetectionModel(manifest, folder)
