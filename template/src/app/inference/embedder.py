"""Texts to vectors with an ONNX encoder."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer

from app.errors import StartupError
from app.inference.manifest import EmbeddingModel
from app.inference.ports import ModelSession

log = structlog.get_logger(__name__)


class EmbeddingSettings(BaseModel):
    """Which embedding model is used, and how much it is given at a time."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/embedding"), description="holds model.onnx, tokenizer.json, model.json")
    batch_size: int = Field(default=32, ge=1, le=1024, description="texts that run through the model together")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the model made of some texts.

    Attributes:
        vectors: float32, one row of unit length per text, in the order of the texts.
        tokens: tokens that were read, after cutting.
    """

    vectors: NDArray[np.float32]
    tokens: int


class Embedder:
    """Runs the embedding model in a thread, one batch at a time, so that the event loop stays free."""

    def __init__(self, session: ModelSession, tokenizer: Tokenizer, model: EmbeddingModel, batch_size: int) -> None:
        self._session = session
        self._batch_size = batch_size
        # One batch at a time: the session uses every core it was given, a second batch would only slow both.
        self._turn = asyncio.Lock()
        self.model = model
        self.tokenizer = tokenizer

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self._session.provider

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; batches of different requests take turns."""
        encodings = await asyncio.to_thread(self.tokenizer.encode_batch_fast, list(texts))
        return await self.embed_tokens([encoding.ids for encoding in encodings])

    async def embed_tokens(self, ids: Sequence[list[int]]) -> Embeddings:
        """Embed texts that are tokenized already, none longer than the model's limit."""
        vectors = np.empty((len(ids), self.model.dimension), dtype=np.float32)
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            async with self._turn:
                vectors[rows] = await asyncio.to_thread(self._run, [ids[i] for i in rows])
        return Embeddings(vectors, sum(map(len, ids)))

    def _run(self, ids: list[list[int]]) -> NDArray[np.float32]:
        longest = max(1, *(len(tokens) for tokens in ids))
        input_ids = np.zeros((len(ids), longest), dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = tokens
            attention_mask[row, : len(tokens)] = 1
        [vectors] = self._session.run({"input_ids": input_ids, "attention_mask": attention_mask})
        return _to_unit_length(vectors.astype(np.float32))


def _to_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows in place to the unit length that vector stores rely on, and that not every exported model gives."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def load_tokenizer(model: EmbeddingModel) -> Tokenizer:
    """Open the model's tokenizer, set to cut texts at the model's limit."""
    tokenizer = Tokenizer.from_file(str(model.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_tokens)
    return tokenizer


@asynccontextmanager
async def open_embedder(
    settings: EmbeddingSettings, session: ModelSession, model: EmbeddingModel
) -> AsyncIterator[Embedder]:
    """Join a session with its tokenizer and warm both up, so that the first request is as fast as the next.

    Raises:
        StartupError: the graph does not do what the manifest says.
    """
    tokenizer = await asyncio.to_thread(load_tokenizer, model)
    embedder = Embedder(session, tokenizer, model, settings.batch_size)
    try:
        await embedder.embed(["warm-up"] * settings.batch_size)
    except ValueError as error:
        raise StartupError(f"The model in {model.folder} is not an encoder of {model.dimension} dimensions.") from error
    log.info("embedding_model.ready", model=model.identity, provider=session.provider, dimension=model.dimension)
    yield embedder
