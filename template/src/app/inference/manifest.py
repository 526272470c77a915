"""Manifests of model folders (`model.json`), and checks of a folder's files against them."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import StartupError

MANIFEST = "model.json"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"

Provider = Literal["cpu", "cuda", "tensorrt"]
Pooling = Literal["mean", "cls", "last"]


class ModelManifest(BaseModel):
    """Fields of every `model.json`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    providers: list[Provider] = Field(
        default=[], description="execution providers, preferred first; those in the settings if empty"
    )
    files: dict[str, str] = Field(description="sha256 of each file")


M = TypeVar("M", bound=ModelManifest)


class EmbeddingManifest(ModelManifest):
    """The `model.json` of an embedding model."""

    dimension: int = Field(ge=1, le=4000)
    max_tokens: int = Field(ge=8)
    matryoshka_dimensions: list[int] = Field(
        default=[], description="shorter lengths to which vectors may be truncated"
    )

    query_prefix: str = Field(default="", description="text that the model expects before a query")
    passage_prefix: str = Field(default="", description="text that the model expects before a passage")
    pooling: Pooling | None = Field(
        default=None, description="how token vectors become one vector; null if the graph does it itself"
    )

    @model_validator(mode="after")
    def _cut_to_shorter(self) -> Self:
        if not all(1 <= each < self.dimension for each in self.matryoshka_dimensions):
            raise ValueError(f"matryoshka_dimensions must be from 1 to {self.dimension - 1}")
        return self


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """An embedding model on disk, with verified files.

    Attributes:
        dimension: length of its vectors.
        max_tokens: the most tokens that it reads of a text.
        matryoshka_dimensions: shorter lengths to which its vectors may be truncated.
        providers: execution providers, preferred first; empty means those in the settings.
        query_prefix: text that the model expects before a query.
        passage_prefix: text that the model expects before a passage.
        pooling: how token vectors become one vector; None if the graph returns one vector per text.
    """

    name: str
    version: str
    dimension: int
    max_tokens: int
    folder: Path
    matryoshka_dimensions: tuple[int, ...] = ()
    providers: tuple[Provider, ...] = ()
    query_prefix: str = ""
    passage_prefix: str = ""
    pooling: Pooling | None = None

    @property
    def identity(self) -> str:
        """NAME@VERSION, as stored with every vector."""
        return f"{self.name}@{self.version}"


def load_embedding_model(folder: Path) -> EmbeddingModel:
    """Read a model folder and verify its files against the manifest.

    Raises:
        StartupError: the manifest is missing or invalid, a file is missing, or a checksum does not match.
    """
    manifest = read_manifest(folder, EmbeddingManifest, "embedding model")
    check_files(folder, manifest.files, {TOKENIZER})
    return EmbeddingModel(
        manifest.name,
        manifest.version,
        manifest.dimension,
        manifest.max_tokens,
        folder,
        tuple(manifest.matryoshka_dimensions),
        tuple(manifest.providers),
        manifest.query_prefix,
        manifest.passage_prefix,
        manifest.pooling,
    )


def read_manifest(folder: Path, kind: type[M], what: str) -> M:
    """Read a folder's manifest without checking the folder's files; `what` names the kind of model in errors.

    Raises:
        StartupError: the manifest cannot be read, or is not valid for this kind.
    """
    path = folder / MANIFEST
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StartupError(f"No {what} in {folder}: {MANIFEST} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise StartupError(f"{path} is not a valid manifest ({what}): {error}") from error


def check_files(folder: Path, declared: Mapping[str, str], needed: Collection[str] = ()) -> None:
    """Check that the declared and the needed files and the graph exist and have the declared checksums.

    The graph may be missing, because models on another server need none; opening a local model without one fails.

    Raises:
        StartupError: a file is missing, has another checksum, is not declared or is outside the folder.
    """
    elsewhere = [name for name in declared if Path(name).name != name]
    if elsewhere:
        raise StartupError(
            f"{folder / MANIFEST} declares {elsewhere[0]!r}, but a model's files lie beside its manifest."
        )
    graph = {GRAPH} if (folder / GRAPH).exists() else set()
    for name in sorted({*needed, *graph, *declared}):
        _verify(folder / name, declared.get(name))


def _verify(file: Path, declared: str | None) -> None:
    if not file.is_file():
        raise StartupError(f"The model file {file} is missing.")
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != declared:
        raise StartupError(f"{file} is not the file that {MANIFEST} declares: sha256 {actual}, declared {declared}.")
