"""Text embeddings with an ONNX encoder."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer

from app.errors import StartupError
from app.inference.batching import Batcher, open_batcher
from app.inference.capacity import BatchingSettings, OpenSession, available_cores, open_capacity
from app.inference.encoder import encode, encoder_workload
from app.inference.feature_model import FeatureModel
from app.inference.manifest import EmbeddingModel
from app.inference.ports import ModelSession
from app.inference.signature import MAX_ROWS
from app.inference.token_input import open_tokenizer, read_inputs
from app.inference.token_thread import TokenThread, open_token_thread

log = structlog.get_logger(__name__)

# The most rows of callers' own tensors in a batch.
TENSOR_ROWS = 32


class EmbeddingSettings(BaseModel):
    """Settings for the embedding model."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/embedding"), description="holds model.onnx, tokenizer.json, model.json")
    batch_size: int = Field(default=128, ge=1, le=1024, description="texts that run through the model together")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of a list of texts.

    Attributes:
        vectors: float32, one row of unit length per text, in the order of the texts.
        tokens: number of tokens read, after truncation.
        queue_seconds: time until the first text started to run.
        run_seconds: time from then until the last text had run.
    """

    vectors: NDArray[np.float32]
    tokens: int
    queue_seconds: float = 0.0
    run_seconds: float = 0.0


class Embedder:
    """Embeds texts in batches shared by all callers, without blocking the event loop.

    Args:
        batcher: turns lists of token ids into vectors.
        tokenizer: truncates texts at the model's limit.
        model: the model's manifest data.
        thread: tokenizes long texts.
        session: a session of the model.
        deadline: the deadline for requests in seconds, which callers pass as `within`.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        batcher: Batcher,
        tokenizer: Tokenizer,
        model: EmbeddingModel,
        *,
        thread: TokenThread,
        session: ModelSession,
        deadline: float,
    ) -> None:
        self._batcher = batcher
        self._thread = thread
        self.model = model
        self.tokenizer = tokenizer
        self.session = session
        self.deadline = deadline

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    @property
    def passage_tokens(self) -> int:
        """The most tokens that a passage may have, without the prefix and special tokens."""
        prefix = self.tokenizer.encode(self.model.passage_prefix, add_special_tokens=False)
        return self.model.max_tokens - self.tokenizer.num_special_tokens_to_add(is_pair=False) - len(prefix)

    async def embed_query(
        self, query: str, *, owner: Hashable = None, within: float | None = None
    ) -> NDArray[np.float32]:
        """Embed a search query with the model's query prefix; see `embed`."""
        embedded = await self.embed([self.model.query_prefix + query], owner=owner, within=within)
        return embedded.vectors.reshape(-1)

    async def embed_passages(self, texts: Sequence[str], *, owner: Hashable = None) -> Embeddings:
        """Embed passages with the model's passage prefix; see `embed`."""
        return await self.embed([self.model.passage_prefix + text for text in texts], owner=owner)

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> Embeddings:
        """Embed texts, truncated at the model's limit.

        Args:
            texts: any number of texts.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; None waits indefinitely.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnavailableError: the service is shutting down.
        """
        started = time.monotonic()
        if within is None:
            return await self.embed_tokens(await self._thread.read(texts, self._tokenize_truncated), owner=owner)
        self._batcher.admit(len(texts), owner=owner, within=within)
        ids = await self._thread.read(texts, self._tokenize_truncated, within=within)
        return await self.embed_tokens(ids, owner=owner, within=started + within - time.monotonic())

    async def tokenize(self, inputs: Sequence[str | list[int]], *, owner: Hashable, within: float) -> list[list[int]]:
        """Tokenize texts, or check token ids, for `embed_tokens`; inputs are not truncated.

        Args:
            inputs: texts, or lists of token ids.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds for tokenizing and embedding.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnavailableError: the service is shutting down.
            UnprocessableError: an input is too long or has an unknown id, or the inputs are too long in total.
        """
        # Every input has at least one token.
        self._batcher.admit(len(inputs), owner=owner, within=within)
        return await read_inputs(inputs, self.tokenizer, self.model, self._thread, within=within)

    def _tokenize_truncated(self, texts: Sequence[str], _first: int) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    async def embed_tokens(
        self, ids: Sequence[list[int]], *, owner: Hashable = None, within: float | None = None
    ) -> Embeddings:
        """Embed tokenized texts, none longer than the model's limit; otherwise like `embed`."""
        sizes = [max(1, len(tokens)) for tokens in ids]
        done = await self._batcher.submit(ids, sizes, owner=owner, within=within)
        vectors = np.array(done.results, dtype=np.float32).reshape(len(ids), self.model.dimension)
        return Embeddings(vectors, sum(map(len, ids)), done.queue_seconds, done.run_seconds)

    def feature_model(self) -> FeatureModel:
        """Return the model as one that callers can send tensors to."""
        names = [each.name for each in self.session.inputs]
        return FeatureModel(
            self.model.name,
            self.model.version,
            self.session,
            TENSOR_ROWS,
            max_shape=dict.fromkeys(names, (MAX_ROWS, self.model.max_tokens)),
            warm_up=dict.fromkeys(names, (1, min(self.model.max_tokens, 8))),
        )

    async def ping(self) -> None:
        """Raise UnavailableError if the service is shutting down or the model is stuck."""
        self._batcher.ping()


def load_tokenizer(model: EmbeddingModel) -> Tokenizer:
    """Open the model's tokenizer, with truncation at the model's limit."""
    return open_tokenizer(model.folder, model.max_tokens)


@asynccontextmanager
async def open_embedder(
    settings: EmbeddingSettings,
    batching: BatchingSettings,
    open_session: OpenSession,
    model: EmbeddingModel,
    *,
    cores: int = 0,
) -> AsyncIterator[Embedder]:
    """Open an embedder whose model is measured and warmed up.

    Args:
        settings: settings of the embedding model.
        batching: settings for batching.
        open_session: opens a session of the model.
        model: the model's manifest data.
        cores: cores for all lanes together; 0 means every core that this process may use.

    Raises:
        StartupError: the tokenizer cannot be read, or the graph does not fit the manifest.
    """
    tokenizer = await asyncio.to_thread(load_tokenizer, model)
    work = encoder_workload(model, settings.batch_size, tokenizer.get_vocab_size())
    opening = open_capacity(batching, open_session, work, cores=cores or available_cores())
    async with open_token_thread() as thread, opening as capacity:
        runs = [partial(encode, session, pooling=model.pooling) for session in capacity.sessions]
        grace = batching.shutdown_grace
        async with open_batcher(model.identity, runs, capacity.curve, rows=settings.batch_size, grace=grace) as batcher:
            session = capacity.sessions[0]
            log.info(
                "embedding_model.ready", model=model.identity, provider=session.provider, dimension=model.dimension
            )
            opened = Embedder(batcher, tokenizer, model, thread=thread, session=session, deadline=batching.deadline)
            if opened.passage_tokens < 1:
                raise StartupError(f"The passage_prefix of {model.identity} leaves no token for a passage.")
            yield opened
