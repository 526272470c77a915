"""A model that runs when a test allows it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Semaphore
from typing import Any

from app.inference.batching import Batcher, open_batcher
from app.inference.latency_curve import LatencyCurve

PATIENCE = 30.0


@dataclass
class GatedModel:
    """Squares numbers, one batch for each `allow`; `mischief` may raise.

    Attributes:
        batches: payloads of every batch that has begun.
    """

    mischief: Callable[[Sequence[Any]], object] = id
    batches: list[list[Any]] = field(default_factory=list)
    _begun: "SimpleQueue[None]" = field(default_factory=SimpleQueue)
    _gate: Semaphore = field(default_factory=lambda: Semaphore(0))

    def run(self, payloads: Sequence[Any]) -> list[Any]:
        """Wait for permission, then compute."""
        self.batches.append(list(payloads))
        self._begun.put(None)
        assert self._gate.acquire(timeout=PATIENCE), "the test has forgotten the model"
        self.mischief(payloads)
        return [payload * payload for payload in payloads]

    def allow(self, batches: int = 10_000) -> None:
        """Let this many batches finish."""
        self._gate.release(batches)

    async def begun(self) -> None:
        """Wait until another batch has begun."""
        await asyncio.to_thread(self._begun.get, timeout=PATIENCE)


@asynccontextmanager
async def batcher_of(
    *models: GatedModel, rows: int = 100, units: int = 10_000, seconds: float = 0.001, grace: float = PATIENCE
) -> AsyncIterator[Batcher]:
    """Open a batcher with a lane for each model, whose batches are assumed to take this many seconds."""
    curve = LatencyCurve.assumed(units, seconds, lanes=len(models))
    async with open_batcher("test", [model.run for model in models], curve, rows=rows, grace=grace) as batcher:
        yield batcher


async def queued(batcher: Batcher, *payloads: int, size: int = 1, **options: Any) -> "asyncio.Task[list[Any]]":  # noqa: ANN401
    """Submit payloads and return once they are queued, with the task that returns their results."""

    async def submit() -> list[Any]:
        return (await batcher.submit(payloads, [size] * len(payloads), **options)).results

    task = asyncio.create_task(submit())
    await asyncio.sleep(0)
    return task


async def occupied(batcher: Batcher, model: GatedModel) -> "asyncio.Task[list[Any]]":
    """Submit a batch that occupies the model's lane until it is allowed."""
    task = await queued(batcher, 0, owner="occupier")
    await model.begun()
    return task
