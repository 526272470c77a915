"""Embeddings and models in the wire shape of OpenAI's API."""

import base64
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

MAX_INPUTS = 2048
Text = Annotated[str, Field(min_length=1, max_length=100_000)]


class EmbeddingCreate(BaseModel):
    """What to embed. Fields that OpenAI's clients may add are accepted and ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "static-minilm", "input": ["How long is the warranty?"]}]}
    )

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
    model: str
    encoding_format: Literal["float", "base64"] = "float"


class EmbeddingItem(BaseModel):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str = Field(examples=["static-minilm"])
    usage: EmbeddingUsage


class ModelRead(BaseModel):
    """A model that can be named in requests."""

    id: str = Field(examples=["static-minilm"])
    object: Literal["model"] = "model"
    created: int = Field(description="always 0: a model's age is not recorded", examples=[0])
    owned_by: str = Field(examples=["local"])
    version: str = Field(examples=["1"])
    provider: str = Field(description="what it runs on", examples=["CPUExecutionProvider"])


class ModelList(BaseModel):
    """Every model that is served."""

    object: Literal["list"] = "list"
    data: list[ModelRead]


def encode_vector(vector: NDArray[np.float32], encoding: Literal["float", "base64"]) -> list[float] | str:
    """Put a vector into the encoding that the caller asked for."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
