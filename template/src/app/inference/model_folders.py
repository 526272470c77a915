"""Registered models: folders with a manifest and usually an ONNX graph, found below the models folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import StartupError
from app.inference.manifest import GRAPH, MANIFEST, TOKENIZER, ModelManifest, check_files, read_manifest

# Tasks with exactly one model, which is configured in the settings; models of all other tasks are registered.
SINGLE_MODEL_TASKS = ("embedding", "detection")
# Tasks with their own manifests, which the feature that uses the model reads.
TASKS_OF_FEATURES = (*SINGLE_MODEL_TASKS, "rerank")

Shape = list[Annotated[int, Field(ge=1)]]


class ModelsSettings(BaseModel):
    """Settings for registered models."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models"), description="contains one folder with a model.json per model")
    default_classifier: str = Field(default="", description="classifies texts that come without model and labels")
    default_reranker: str = Field(default="", description="reranks documents that come without model")


class TensorManifest(ModelManifest):
    """The `model.json` of a registered model."""

    task: Literal["tensors"]
    max_batch: int = Field(default=64, ge=1, le=4096, description="most rows of a batch; 1 disables batching")
    max_shape: dict[str, Shape] = Field(default={}, description="the longest that an input's dimensions may be")
    warm_up: dict[str, Shape] = Field(
        default={}, description="shapes to try at startup; by default 1 for dimensions that vary"
    )
    allow_nonfinite: bool = Field(default=False, description="whether inputs may contain NaN and infinities")
    labels: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="of a text classifier, in the order of its first output; needs tokenizer.json"
    )
    activation: Literal["softmax", "sigmoid"] = Field(default="softmax", description="turns its output into scores")
    max_tokens: int = Field(default=512, ge=8, description="most tokens that it reads of a text")


@dataclass(frozen=True, slots=True)
class TensorModel:
    """A registered model on disk, with verified files."""

    manifest: TensorManifest
    folder: Path

    @property
    def graph(self) -> Path:
        """Path of the ONNX file, which may be missing if the model runs on another server."""
        return self.folder / GRAPH

    @property
    def identity(self) -> tuple[str, str]:
        """Name and version."""
        return self.manifest.name, self.manifest.version


def find_tensor_models(folder: Path, name: str | None = None) -> list[TensorModel]:
    """Read the models with the task `tensors` below a folder, optionally of one name only, and verify their files.

    Raises:
        StartupError: the folder is missing, a manifest is invalid, or a file does not match its checksum.
    """
    # Unknown tasks are included: loading them raises StartupError.
    found = find_manifests(folder, name).items()
    return [load_tensor_model(manifest.parent) for manifest, task in found if task not in TASKS_OF_FEATURES]


def list_registered(folder: Path) -> list[tuple[str, str]]:
    """Return name and version of every model registered below a folder, valid or not.

    Raises:
        StartupError: the folder does not exist.
    """
    contents = [_read(each) for each, task in find_manifests(folder).items() if task not in SINGLE_MODEL_TASKS]
    return sorted({(str(content["name"]), str(content.get("version"))) for content in contents if "name" in content})


def check_identities(identities: Sequence[tuple[str, str]]) -> None:
    """Raise StartupError if two models have the same name and version."""
    for name, version in identities:
        if identities.count((name, version)) > 1:
            raise StartupError(f"Two models are called {name}@{version}: change the name or version of one of them.")


def find_manifests(folder: Path, name: str | None = None) -> dict[Path, object]:
    """Return the task of each manifest below a folder, optionally only for models of one name.

    Manifests that cannot be read are always included, with the task None.

    Raises:
        StartupError: the folder does not exist.
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
    """Read the folder of a registered model and verify its files.

    Raises:
        StartupError: the manifest is invalid, a file is missing, or a checksum does not match.
    """
    manifest = read_manifest(folder, TensorManifest, "model")
    check_files(folder, manifest.files, {TOKENIZER} if manifest.labels else ())
    return TensorModel(manifest, folder)


def _read(manifest: Path) -> dict[str, Any]:
    """Read a manifest; the result has no task if it is invalid, which is reported when the model is loaded."""
    try:
        content = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        content = None
    return content if isinstance(content, dict) else {"task": None}
