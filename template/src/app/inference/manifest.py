"""Model folders: an ONNX graph, its tokenizer, and a manifest that says what they are."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import StartupError

MANIFEST = "model.json"

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS = "what it may run on, preferred first; as the settings say if there is none"


class Manifest(BaseModel):
    """What `model.json` declares."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    dimension: int = Field(ge=1, le=4000)
    max_tokens: int = Field(ge=8)
    matryoshka_dimensions: list[int] = Field(
        default=[], description="shorter lengths that the model is trained to have its vectors cut to"
    )
    providers: list[Provider] = Field(default=[], description=PROVIDERS)
    files: dict[str, str] = Field(description="sha256 of each file")

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
    """

    name: str
    version: str
    dimension: int
    max_tokens: int
    folder: Path
    matryoshka_dimensions: tuple[int, ...] = ()
    providers: tuple[Provider, ...] = ()

    @property
    def identity(self) -> str:
        """Name and version, as stored with every vector."""
        return f"{self.name}@{self.version}"


def load_embedding_model(folder: Path) -> EmbeddingModel:
    """Read a model folder and check its files against the manifest.

    Raises:
        StartupError: the folder, a file or a checksum is not what it should be.
    """
    try:
        manifest = Manifest.model_validate(json.loads((folder / MANIFEST).read_bytes()))
    except OSError as error:
        raise StartupError(f"No embedding model in {folder}: {MANIFEST} cannot be read ({error.strerror}).") from error
    except (ValidationError, ValueError) as error:
        raise StartupError(f"{folder / MANIFEST} is not a valid model manifest: {error}") from error
    # A model that runs elsewhere needs no graph here; one that should, and is missing, is missed when it is opened.
    graph = {"model.onnx"} if (folder / "model.onnx").exists() else set()
    for name in sorted({"tokenizer.json", *graph, *manifest.files}):
        verify_file(folder / name, manifest.files.get(name))
    return EmbeddingModel(
        manifest.name,
        manifest.version,
        manifest.dimension,
        manifest.max_tokens,
        folder,
        tuple(manifest.matryoshka_dimensions),
        tuple(manifest.providers),
    )


def verify_file(file: Path, declared: str | None) -> None:
    """Pass if the file has the SHA-256 that its manifest declares.

    Raises:
        StartupError: it is missing, or another one.
    """
    if not file.is_file():
        raise StartupError(f"The model file {file} is missing.")
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != declared:
        raise StartupError(f"{file} is not the file that {MANIFEST} declares: sha256 {actual}, declared {declared}.")
