"""Embeddings and models in the wire shape of OpenAI's API."""

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
# Numbers that are written in one go: about two milliseconds.
NUMBERS_AT_ONCE = 50_000
Text = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
Token = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
# A list that is wrong throughout is told of its first mistake, not of thousands.
Tokens = Annotated[list[Token], Field(min_length=1, max_length=MAX_LENGTH, fail_fast=True)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
TokenLists = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


def kind_of(value: object) -> str | None:
    """Tell the kinds of input apart by what comes first, so that a mistake is described for one of them."""
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
    """What to embed. Fields that OpenAI's clients may add are accepted and ignored."""

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
    ] = Field(description="texts, or token ids of the model's own tokenizer, with the special tokens that it reads")
    model: str
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="numbers, or base64 of little-endian float32"
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="length of the vectors: the model's own, or one that it is trained to be cut to"
    )
    user: str | None = Field(default=None, description="accepted and ignored")

    @property
    def inputs(self) -> Sequence[str | list[int]]:
        """What each vector is of, in order."""
        single = isinstance(self.input, str) or isinstance(self.input[0], int)
        return cast("list[str | list[int]]", [self.input] if single else self.input)


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
    version: str | None = Field(description="null where a provider keeps it to itself", examples=["1"])
    provider: str = Field(description="what it runs on", examples=["CPUExecutionProvider"])


class ModelList(BaseModel):
    """Every model that is served."""

    object: Literal["list"] = "list"
    data: list[ModelRead]


async def write_embeddings(
    vectors: NDArray[np.float32], encoding: Literal["float", "base64"], *, model: str, tokens: int
) -> bytes:
    """Write an `EmbeddingList`, without the cost of checking every number of it first, and without keeping others.

    Args:
        vectors: one row per input.
        encoding: how the caller wants them.
        model: the name that the caller used.
        tokens: how many were read.
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
