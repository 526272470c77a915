"""Model folders: an ONNX graph, what goes with it, and a manifest that says what they are."""

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
    """What every `model.json` declares."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    providers: list[Provider] = Field(
        default=[], description="what it may run on, preferred first; as the settings say if there is none"
    )
    files: dict[str, str] = Field(description="sha256 of each file")


M = TypeVar("M", bound=ModelManifest)


class Manifest(ModelManifest):
    """What the `model.json` of an embedding model declares."""

    dimension: int = Field(ge=1, le=4000)
    max_tokens: int = Field(ge=8)
    matryoshka_dimensions: list[int] = Field(
        default=[], description="shorter lengths that the model is trained to have its vectors cut to"
    )

    query_prefix: str = Field(default="", description="what the model was trained to read before a query")
    passage_prefix: str = Field(default="", description="what the model was trained to read before a passage")
    pooling: Pooling | None = Field(
        default=None, description="what becomes of the vectors of a text's tokens; left out if the graph gives one"
    )

    @model_validator(mode="after")
    def _cut_to_shorter(self) -> Self:
        if not all(1 <= each < self.dimension for each in self.matryoshka_dimensions):
            raise ValueError(f"matryoshka_dimensions must be from 1 to {self.dimension - 1}")
        return self


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """An embedding model on disk whose files are the declared ones.

    Attributes:
        dimension: length of its vectors.
        max_tokens: the most that it reads of a text.
        matryoshka_dimensions: shorter lengths to which its vectors may be cut.
        providers: what it may run on, preferred first; as the settings say if there is none.
        query_prefix: what it was trained to read before a query.
        passage_prefix: what it was trained to read before a passage.
        pooling: what becomes of the vectors of a text's tokens; None if the graph gives one vector for the text.
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
        """Name and version, as stored with every vector."""
        return f"{self.name}@{self.version}"


def load_embedding_model(folder: Path) -> EmbeddingModel:
    """Read a model folder and check its files against the manifest.

    Raises:
        StartupError: the folder, a file or a checksum is not what it should be.
    """
    manifest = read_manifest(folder, Manifest, "embedding model")
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
    """Read the manifest of a folder that should hold `what`; its files are not looked at.

    Raises:
        StartupError: there is none, or none of this kind.
    """
    path = folder / MANIFEST
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StartupError(f"No {what} in {folder}: {MANIFEST} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise StartupError(f"{path} is not a valid manifest ({what}): {error}") from error


def check_files(folder: Path, declared: Mapping[str, str], needed: Collection[str] = ()) -> None:
    """Pass if the files that a manifest declares, those that are needed and the graph are the declared ones.

    A model that runs elsewhere needs no graph here; one that should have it is missed when it is opened.

    Raises:
        StartupError: one of them is missing, is another one, or is not in the folder itself.
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
