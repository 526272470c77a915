"""A check that concurrent callers, who may cancel at any time, get the same results as each would get alone."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from app.inference.batching import Batcher, open_batcher
from app.inference.lanes import Run
from app.inference.latency_curve import LatencyCurve


@dataclass(frozen=True)
class Call:
    """One caller's request, with the event loop turns at which it is sent and cancelled."""

    owner: str
    payloads: Sequence[Any]
    comes_at: int
    leaves_after: int | None


def calls_of(
    payload: st.SearchStrategy[Any], *, payloads: int = 6, calls: int = 12
) -> st.SearchStrategy[Sequence[Call]]:
    """Draw at most this many calls, each with at most this many payloads."""
    call = st.builds(
        Call,
        st.sampled_from(["ada", "bob", "cy"]),
        st.lists(payload, min_size=1, max_size=payloads),
        st.integers(0, 20),
        st.none() | st.integers(0, 20),
    )
    return st.lists(call, min_size=1, max_size=calls)


@dataclass(frozen=True)
class Shared:
    """A model and how callers share it.

    Attributes:
        run: the model.
        curve: the number of lanes, and the limit of a batch.
        rows: the most items of a batch.
        size: returns the length of a payload.
        read: converts a result to an array.
    """

    run: Run
    curve: LatencyCurve
    rows: int
    size: Callable[[Any], int] = len
    read: Callable[[Any], Any] = np.asarray


def compare_with_single(calls: Sequence[Call], shared: Shared, *, tolerance: float) -> None:
    """Run calls on shared lanes and compare each result with that of its payload in its own batch.

    Args:
        calls: the calls and their timing.
        shared: the model that runs them.
        tolerance: the largest difference, in the result's own unit.
    """
    answers = asyncio.run(_ask_all(calls, shared))
    for call, answer in zip(calls, answers, strict=True):
        assert answer is not None or call.leaves_after is not None
        for payload, result in zip(call.payloads, answer or (), strict=answer is not None):
            alone = shared.run([payload])[0]
            np.testing.assert_allclose(shared.read(result), shared.read(alone), rtol=0, atol=tolerance)


async def _ask_all(calls: Sequence[Call], shared: Shared) -> Sequence[Sequence[Any] | None]:
    lanes = [shared.run] * shared.curve.lanes
    async with open_batcher("x", lanes, shared.curve, rows=shared.rows, grace=30) as batcher:
        return await asyncio.gather(*(_follow(batcher, call, list(map(shared.size, call.payloads))) for call in calls))


async def _follow(batcher: Batcher, call: Call, sizes: Sequence[int]) -> Sequence[Any] | None:
    asking = asyncio.create_task(_ask(batcher, call, sizes))
    if call.leaves_after is not None:
        await _turns(call.comes_at + call.leaves_after)
        asking.cancel()
    await asyncio.wait([asking])
    return None if asking.cancelled() else asking.result()


async def _ask(batcher: Batcher, call: Call, sizes: Sequence[int]) -> Sequence[Any]:
    await _turns(call.comes_at)
    return (await batcher.submit(call.payloads, sizes, owner=call.owner)).results


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
