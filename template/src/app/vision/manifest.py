"""Detector folders: an ONNX graph, and a manifest that says what it takes and what it finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import StartupError
from app.inference.manifest import MANIFEST, PROVIDERS, Provider, verify_file

GRAPH = "model.onnx"


class Manifest(BaseModel):
    """What a detector's `model.json` declares."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    task: Literal["detection"] = "detection"
    layout: Literal["yolo"] = Field(description="`[batch, 4 + labels, cells]`: centre, size in input pixels, scores")
    input: str = Field(default="images", description="name of the input: `[batch, 3, height, width]`, RGB, 0 to 1")
    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    max_batch: int = Field(default=1024, ge=1, description="1 for a graph that was exported with a batch of one")
    labels: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, description="in the order of the scores")
    providers: list[Provider] = Field(default=[], description=PROVIDERS)
    files: dict[str, str] = Field(description="sha256 of each file")


@dataclass(frozen=True, slots=True)
class DetectionModel:
    """A detector on disk whose file is the declared one."""

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
    """Read a detector's folder and check its graph against the manifest.

    Raises:
        StartupError: the folder, the graph or its checksum is not what it should be.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise StartupError(f"No detection model in {folder}: {MANIFEST} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise StartupError(f"{folder / MANIFEST} is not a valid manifest of a detector: {error}") from error
    verify_file(folder / GRAPH, manifest.files.get(GRAPH))
    return DetectionModel(manifest, folder)
