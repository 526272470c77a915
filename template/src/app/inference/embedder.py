"""Texts to vectors with an ONNX encoder."""

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
from app.inference.manifest import EmbeddingModel
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.inference.signature import MAX_ROWS
from app.inference.token_input import open_tokenizer, read_inputs
from app.inference.token_thread import TokenThread, open_token_thread

log = structlog.get_logger(__name__)

# Rows of callers' own tensors that run together.
TENSOR_ROWS = 32


class EmbeddingSettings(BaseModel):
    """Which embedding model is used, and how much it is given at a time."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/embedding"), description="holds model.onnx, tokenizer.json, model.json")
    batch_size: int = Field(default=128, ge=1, le=1024, description="texts that run through the model together")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the model made of some texts.

    Attributes:
        vectors: float32, one row of unit length per text, in the order of the texts.
        tokens: tokens that were read, after cutting.
        queue_seconds: until the first of the texts ran.
        run_seconds: from then until the last had run.
    """

    vectors: NDArray[np.float32]
    tokens: int
    queue_seconds: float = 0.0
    run_seconds: float = 0.0


class Embedder:
    """Runs the embedding model for everybody who asks, together, so that the event loop stays free.

    Args:
        batcher: takes lists of token ids, gives vectors.
        thread: tokenizes what is long.
        session: the model.
        deadline: seconds in which somebody who waits for an answer must have it; `within` of the calls.
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
        """The most tokens of a passage that the model reads, beside those that go with every passage."""
        prefix = self.tokenizer.encode(self.model.passage_prefix, add_special_tokens=False)
        return self.model.max_tokens - self.tokenizer.num_special_tokens_to_add(is_pair=False) - len(prefix)

    async def embed_query(
        self, query: str, *, owner: Hashable = None, within: float | None = None
    ) -> NDArray[np.float32]:
        """Embed what passages are searched for, as `embed` would, but with what the model reads before queries."""
        embedded = await self.embed([self.model.query_prefix + query], owner=owner, within=within)
        return embedded.vectors.reshape(-1)

    async def embed_passages(self, texts: Sequence[str], *, owner: Hashable = None) -> Embeddings:
        """Embed what is to be found by queries, as `embed` would, but with what the model reads before passages."""
        return await self.embed([self.model.passage_prefix + text for text in texts], owner=owner)

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> Embeddings:
        """Embed texts together with what others have asked for.

        Args:
            texts: any number.
            owner: who takes turns with other owners.
            within: seconds in which the answer is wanted; None waits for as long as it takes.

        Raises:
            OverloadedError: it cannot be had in time.
        """
        started = time.monotonic()
        if within is None:
            return await self.embed_tokens(await self._thread.read(texts, self._cut), owner=owner)
        self._batcher.admit(len(texts), owner=owner, within=within)
        ids = await self._thread.read(texts, self._cut, within=within)
        return await self.embed_tokens(ids, owner=owner, within=started + within - time.monotonic())

    async def read(self, inputs: Sequence[str | list[int]], *, owner: Hashable, within: float) -> list[list[int]]:
        """Tokenize inputs of which the model must read all, or check their token ids, for `embed_tokens`.

        Args:
            inputs: texts, or token ids.
            owner: whose they are.
            within: seconds in which they are to be embedded, too: what the model cannot do by then is not begun.

        Raises:
            OverloadedError: that cannot be done.
            UnavailableError: the service is going down.
            UnprocessableError: one is too long for the model or has an unknown id, or all are too long together.
        """
        # No input has less than one token.
        self._batcher.admit(len(inputs), owner=owner, within=within)
        return await read_inputs(inputs, self.tokenizer, self.model, self._thread, within=within)

    def _cut(self, texts: Sequence[str], _first: int) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    async def embed_tokens(
        self, ids: Sequence[list[int]], *, owner: Hashable = None, within: float | None = None
    ) -> Embeddings:
        """Embed texts that are tokenized already, none longer than the model's limit; otherwise as `embed`."""
        sizes = [max(1, len(tokens)) for tokens in ids]
        done = await self._batcher.submit(ids, sizes, owner=owner, within=within)
        vectors = np.array(done.results, dtype=np.float32).reshape(len(ids), self.model.dimension)
        return Embeddings(vectors, sum(map(len, ids)), done.queue_seconds, done.run_seconds)

    def resident(self) -> Resident:
        """Offer the model to callers who send tensors instead of texts."""
        names = [each.name for each in self.session.inputs]
        return Resident(
            self.model.name,
            self.model.version,
            self.session,
            TENSOR_ROWS,
            max_shape=dict.fromkeys(names, (MAX_ROWS, self.model.max_tokens)),
            warm_up=dict.fromkeys(names, (1, min(self.model.max_tokens, 8))),
        )

    async def ping(self) -> None:
        """Pass while texts are taken.

        Raises:
            UnavailableError: the service is going down.
        """
        self._batcher.ping()


def load_tokenizer(model: EmbeddingModel) -> Tokenizer:
    """Open the model's tokenizer, set to cut texts at the model's limit."""
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
    """Join a model's sessions with its tokenizer, warm and measured, so that the first request is as fast as the next.

    Args:
        settings: how much the model is given at a time.
        batching: how the model is shared.
        open_session: opens the model.
        model: what it is.
        cores: what its lanes may use together; 0 is every core that this process may use.

    Raises:
        StartupError: the graph does not do what the manifest says.
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
