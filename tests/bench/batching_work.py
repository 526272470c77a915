"""What each model of the batching benchmark is given and how a batch of it is run, for every server alike."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from app.inference.capacity import Workload
from app.inference.encoder import encode
from batching_inputs import texts, vector
from batching_sessions import DEVICE_SECONDS, Device, Session, run_vectors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

ROWS = 64


@dataclass(frozen=True)
class Work:
    """A model, its inputs, and how a batch runs.

    Attributes:
        run: computes a batch of payloads on a session.
        payloads: what requests carry.
        workload: what start-up measures.
    """

    run: Callable[[Any, Sequence[Any]], Any]
    payloads: list[Any]
    workload: Any
    open: Callable[[int, bool], Any]


def size_of(payload: Any, name: str) -> int:  # noqa: ANN401
    """The length of a row in the model's unit."""
    return len(payload) if name == "encoder" else 1


def work_named(name: str, folder: Path) -> Work:
    """Find one of `compute`, `weight`, `encoder`, `device`, `slow`; its model is made when it is missing."""
    path = folder / f"{name}.onnx"
    if name not in DEVICE_SECONDS and not path.exists():
        # A server, which finds its model there, shall not hold what makes models.
        import batching_models  # noqa: PLC0415

        batching_models.MAKERS[name](path)
    if name == "encoder":
        sizes = [16 * 2**power for power in range(11)]
        workload = Workload(lambda session, units: encode(session, _ids(units)), sizes)
        return Work(encode, texts(512), workload, partial(Session, path))
    row = vector()
    workload = Workload(lambda session, units: run_vectors(session, [row] * units), [2**power for power in range(7)])
    opened = (lambda _threads, _spinning=False: Device(name)) if name in DEVICE_SECONDS else partial(Session, path)
    return Work(run_vectors, [row], workload, opened)


def _ids(units: int) -> list[list[int]]:
    rows = min(ROWS, max(1, units // 16))
    return [[1 + place % 999 for place in range(units // rows)]] * rows


@asynccontextmanager
async def opened(work: Work, threads: int) -> AsyncIterator[Any]:
    """Open a session as the emitted service's adapter does."""
    yield await asyncio.to_thread(work.open, threads, False)  # noqa: FBT003
