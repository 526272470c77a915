"""Request and response schemas of embeddings and models, compatible with OpenAI's API."""

import base64
from collections.abc import Sequence
from typing import Annotated, Literal, cast

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.json_lists import write_list
from app.payloads import Payload

MAX_INPUTS = 2048
MAX_LENGTH = 100_000
# Numbers serialized before other requests get a turn: about two milliseconds.
NUMBERS_AT_ONCE = 50_000
Text = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
Token = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
# fail_fast: report only the first error of a list, which may have thousands.
Tokens = Annotated[list[Token], Field(min_length=1, max_length=MAX_LENGTH, fail_fast=True)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
TokenLists = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


def kind_of(value: object) -> str | None:
    """Return the tag of an input's kind, judged by its first element, so that errors refer to one kind only."""
    match value:
        case str():
            return "text"
        case [int(), *_]:
            return "tokens"
        case [list(), *_]:
            return "token_lists"
        case list():
            return "texts"
    return None


class EmbeddingCreate(Payload):
    """Inputs to embed. Unknown fields, which OpenAI's clients may send, are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"model": "static-minilm", "input": ["How long is the warranty?"]},
                {"model": "static-minilm", "input": [[1997, 2146, 2003], [1996]], "encoding_format": "base64"},
            ]
        },
    )

    input: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[Texts, Tag("texts")]
        | Annotated[Tokens, Tag("tokens")]
        | Annotated[TokenLists, Tag("token_lists")],
        Discriminator(
            kind_of,
            custom_error_type="embedding_input",
            custom_error_message="Input should be a text, a list of texts, a list of token ids or a list of such lists",
        ),
    ] = Field(description="texts, or token ids of the model's own tokenizer, including special tokens")
    model: str
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="numbers, or base64 of little-endian float32"
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="length of the vectors: the model's own, or a shorter one that it supports"
    )
    user: str | None = Field(default=None, description="accepted and ignored")

    @property
    def inputs(self) -> Sequence[str | list[int]]:
        """The inputs as a list, one per vector."""
        single = isinstance(self.input, str) or isinstance(self.input[0], int)
        return cast("list[str | list[int]]", [self.input] if single else self.input)


class EmbeddingItem(BaseModel):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Number of tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str = Field(examples=["static-minilm"])
    usage: EmbeddingUsage


class ModelRead(BaseModel):
    """A model that requests can use."""

    id: str = Field(examples=["static-minilm"])
    object: Literal["model"] = "model"
    created: int = Field(description="always 0: a model's age is not recorded", examples=[0])
    owned_by: str = Field(examples=["local"])
    version: str | None = Field(description="null if the provider does not state it", examples=["1"])
    provider: str = Field(description="execution or chat provider", examples=["CPUExecutionProvider"])


class ModelList(BaseModel):
    """All embedding and chat models of the service."""

    object: Literal["list"] = "list"
    data: list[ModelRead]


async def write_embeddings(
    vectors: NDArray[np.float32], encoding: Literal["float", "base64"], *, model: str, tokens: int
) -> bytes:
    """Serialize an `EmbeddingList` without validating every number and without blocking the event loop for long.

    Args:
        vectors: one row per input.
        encoding: the requested encoding.
        model: the model name as the caller wrote it.
        tokens: number of tokens read.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    step = max(1, NUMBERS_AT_ONCE // max(1, rows.shape[1]))
    parts = (_write_items(rows[first : first + step], first, encoding) for first in range(0, len(rows), step))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": await write_list(parts), "model": model, "usage": usage})


def _write_items(rows: NDArray[np.float32], first: int, encoding: str) -> list[dict[str, object]]:
    return [
        {"object": "embedding", "index": index, "embedding": row if encoding == "float" else _pack(row)}
        for index, row in enumerate(rows, first)
    ]


def _pack(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
