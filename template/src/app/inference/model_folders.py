"""Models that the operator registers: each a folder with an ONNX graph and a manifest, found at start-up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import StartupError
from app.inference.manifest import GRAPH, MANIFEST, TOKENIZER, ModelManifest, check_files, read_manifest

# Of these tasks the service has one model each, which the settings name; all others are registered.
CHOSEN = ("embedding", "detection")
# Models of these tasks take more than tensors: the feature that needs them reads their manifests.
FEATURES = (*CHOSEN, "rerank")

Shape = list[Annotated[int, Field(ge=1)]]


class ModelsSettings(BaseModel):
    """Where the operator's own models are."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models"), description="has a folder with a model.json for each model")


class TensorManifest(ModelManifest):
    """What the `model.json` of a registered model declares."""

    task: Literal["tensors"]
    max_batch: int = Field(default=64, ge=1, le=4096, description="rows that run together; 1: each request by itself")
    max_shape: dict[str, Shape] = Field(default={}, description="the longest that an input's dimensions may be")
    warm_up: dict[str, Shape] = Field(
        default={}, description="shapes to try at start-up; 1 where one varies if not set"
    )
    allow_nonfinite: bool = Field(default=False, description="whether inputs may hold NaN and infinities")
    labels: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="of a classifier of texts, in the order of its first output; it needs tokenizer.json"
    )
    activation: Literal["softmax", "sigmoid"] = Field(default="softmax", description="makes scores of its output")
    max_tokens: int = Field(default=512, ge=8, description="the most that it reads of a text")


@dataclass(frozen=True, slots=True)
class TensorModel:
    """A registered model on disk whose files are the declared ones."""

    manifest: TensorManifest
    folder: Path

    @property
    def graph(self) -> Path:
        """The ONNX file, which a model that runs elsewhere may lack."""
        return self.folder / GRAPH

    @property
    def identity(self) -> tuple[str, str]:
        """Name and version."""
        return self.manifest.name, self.manifest.version


def find_tensor_models(folder: Path, name: str | None = None) -> list[TensorModel]:
    """Read every model below a folder whose task is `tensors`, or all versions of one, and check its files.

    Raises:
        StartupError: the folder, a manifest, a file or a checksum is not what it should be.
    """
    # What is of no known task is found fault with when it is loaded.
    found = find_manifests(folder, name).items()
    return [load_tensor_model(manifest.parent) for manifest, task in found if task not in FEATURES]


def list_registered(folder: Path) -> list[tuple[str, str]]:
    """List name and version of whatever is registered below a folder, be it in order or not.

    Raises:
        StartupError: there is no such folder.
    """
    contents = [_read(each) for each, task in find_manifests(folder).items() if task not in CHOSEN]
    return sorted({(str(content["name"]), str(content.get("version"))) for content in contents if "name" in content})


def check_identities(identities: Sequence[tuple[str, str]]) -> None:
    """Pass if no two models have the same name and version.

    Raises:
        StartupError: two have.
    """
    for name, version in identities:
        if identities.count((name, version)) > 1:
            raise StartupError(f"Two models are called {name}@{version}: give one another name or version.")


def find_manifests(folder: Path, name: str | None = None) -> dict[Path, object]:
    """Find the manifest of every model below a folder, or of every version of one, and the task that it declares.

    The task is None where a manifest cannot be read; it may be a version of any model.

    Raises:
        StartupError: there is no such folder.
    """
    if not folder.is_dir():
        raise StartupError(f"There is no folder {folder} to look for models in: set APP_MODELS__FOLDER.")
    contents = {manifest: _read(manifest) for manifest in sorted(folder.glob(f"*/{MANIFEST}"))}
    return {
        manifest: content.get("task", "embedding")
        for manifest, content in contents.items()
        if name is None or content.get("name", name) == name
    }


def load_tensor_model(folder: Path) -> TensorModel:
    """Read the folder of a registered model, and check its files.

    Raises:
        StartupError: the manifest, a file or a checksum is not what it should be.
    """
    manifest = read_manifest(folder, TensorManifest, "model")
    check_files(folder, manifest.files, {TOKENIZER} if manifest.labels else ())
    return TensorModel(manifest, folder)


def _read(manifest: Path) -> dict[str, Any]:
    """Read a manifest; what is none is found fault with when it is loaded."""
    try:
        content = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        content = None
    return content if isinstance(content, dict) else {"task": None}
