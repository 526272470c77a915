"""An open, warm cross-encoder, shared by all requests."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from app.errors import UpstreamFailedError
from app.inference.batching import Batcher, open_batcher
from app.inference.capacity import available_cores, open_capacity
from app.inference.feature_model import FeatureModel
from app.inference.placement import Placement
from app.inference.ports import ModelSession
from app.inference.signature import MAX_ROWS
from app.inference.token_thread import TokenThread, open_token_thread
from app.reranking.cross_encoder import cross_encoder_workload, score_pairs
from app.reranking.manifest import CrossEncoderModel
from app.reranking.pairs import PairReader, open_pair_reader
from app.reranking.ports import Relevance

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reranker:
    """Runs requests through a cross-encoder in shared batches, off the event loop.

    Attributes:
        thread: tokenizes long texts.
        batcher: turns pairs into logits.
        deadline: default deadline of a request in seconds.
    """

    model: CrossEncoderModel
    session: ModelSession
    reader: PairReader
    thread: TokenThread
    batcher: Batcher
    deadline: float

    @property
    def identity(self) -> str:
        """NAME@VERSION, as in responses."""
        return self.model.identity

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    async def score(
        self, query: str, documents: Sequence[str], *, owner: Hashable, within: float | None = None
    ) -> Relevance:
        """Score the relevance of documents to a query, batched with other requests.

        Args:
            query: the search query.
            documents: at least one document.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; None means `deadline`.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnprocessableError: the query is too long, or the pairs have too many tokens in total.
            UpstreamFailedError: the model returned NaN or infinities.
        """
        seconds = self.deadline if within is None else within
        until = time.monotonic() + seconds
        self.batcher.admit(len(documents), owner=owner, within=seconds)
        pairs = await self.reader.read(query, documents, self.thread, within=seconds)
        sizes = [max(1, len(pair.ids)) for pair in pairs]
        done = await self.batcher.submit(pairs, sizes, owner=owner, within=until - time.monotonic())
        logits = np.array(done.results, np.float64)
        if not np.isfinite(logits).all():
            raise UpstreamFailedError("The model gave no scores.")
        scores = logits if self.model.manifest.activation == "none" else (1 + np.tanh(logits / 2)) / 2
        return Relevance(scores, sum(sizes), done.queue_seconds, done.run_seconds)

    def feature_model(self) -> FeatureModel:
        """Return the model as one that callers can send tensors to."""
        manifest = self.model.manifest
        names = [each.name for each in self.session.inputs]
        return FeatureModel(
            manifest.name,
            manifest.version,
            self.session,
            manifest.max_batch,
            max_shape=dict.fromkeys(names, (MAX_ROWS, manifest.max_tokens)),
            warm_up=dict.fromkeys(names, (1, 8)),
        )


@asynccontextmanager
async def open_reranker(model: CrossEncoderModel, home: Placement) -> AsyncIterator[Reranker]:
    """Open, measure and warm up a cross-encoder; on exit queued work may finish within the grace period.

    Args:
        model: the model, with verified files.
        home: where it runs, and its batching settings.

    Raises:
        StartupError: the model cannot be opened, or is not a cross-encoder.
    """
    reader = await asyncio.to_thread(open_pair_reader, model.folder, model.manifest.max_tokens)
    work = cross_encoder_workload(model, reader.tokenizer.get_vocab_size())
    batching, cores = home.batching, home.cores or available_cores()
    rows, grace = model.manifest.max_batch, batching.shutdown_grace
    opening = open_capacity(batching, home.open_session, work, cores=cores)
    async with open_token_thread() as thread, opening as capacity:
        runs = [partial(score_pairs, session, reader.padding) for session in capacity.sessions]
        async with open_batcher(model.identity, runs, capacity.curve, rows=rows, grace=grace) as batcher:
            session = capacity.sessions[0]
            log.info("rerank_model.ready", model=model.identity, provider=session.provider)
            yield Reranker(model, session, reader, thread, batcher, batching.deadline)
