"""Texts to vectors with an ONNX encoder."""

import asyncio
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

from app.inference.batching import Batcher, open_batcher
from app.inference.capacity import BatchingSettings, OpenSession, available_cores, open_capacity
from app.inference.encoder import encode, encoder_workload
from app.inference.manifest import EmbeddingModel
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.inference.signature import MAX_ROWS
from app.inference.token_input import AT_ONCE, open_tokenizer

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
        session: the model.
        deadline: seconds in which somebody who waits for an answer must have it; `within` of the calls.
    """

    def __init__(
        self, batcher: Batcher, tokenizer: Tokenizer, model: EmbeddingModel, *, session: ModelSession, deadline: float
    ) -> None:
        self._batcher = batcher
        self.model = model
        self.tokenizer = tokenizer
        self.session = session
        self.deadline = deadline

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> Embeddings:
        """Embed texts together with what others have asked for.

        Args:
            texts: any number.
            owner: who takes turns with other owners.
            within: seconds in which the answer is wanted; None waits for as long as it takes.

        Raises:
            OverloadedError: it cannot be had in time.
        """
        if sum(map(len, texts)) <= AT_ONCE:
            encodings = self.tokenizer.encode_batch_fast(list(texts))
        else:
            encodings = await asyncio.to_thread(self.tokenizer.encode_batch_fast, list(texts))
        return await self.embed_tokens([encoding.ids for encoding in encodings], owner=owner, within=within)

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
    async with open_capacity(batching, open_session, work, cores=cores or available_cores()) as capacity:
        runs = [partial(encode, session) for session in capacity.sessions]
        grace = batching.shutdown_grace
        async with open_batcher(model.identity, runs, capacity.curve, rows=settings.batch_size, grace=grace) as batcher:
            session = capacity.sessions[0]
            log.info(
                "embedding_model.ready", model=model.identity, provider=session.provider, dimension=model.dimension
            )
            yield Embedder(batcher, tokenizer, model, session=session, deadline=batching.deadline)
