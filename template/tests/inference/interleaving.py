"""Callers who come, wait together and leave in any order, and whether what they get is what each would get alone."""

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
    """One caller's request, and when, in turns of the event loop, it comes and is given up."""

    owner: str
    payloads: Sequence[Any]
    comes_at: int
    leaves_after: int | None


def calls_of(
    payload: st.SearchStrategy[Any], *, payloads: int = 6, calls: int = 12
) -> st.SearchStrategy[Sequence[Call]]:
    """Draw calls, at most so many, each with at most so many payloads."""
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
    """A model, and how it is shared.

    Attributes:
        run: the model.
        curve: how many lanes there are, and how much may run at once.
        rows: items that may run together.
        size: tells the length of a payload.
        read: makes an array of a result.
    """

    run: Run
    curve: LatencyCurve
    rows: int
    size: Callable[[Any], int] = len
    read: Callable[[Any], Any] = np.asarray


def compare_with_single(calls: Sequence[Call], shared: Shared, *, tolerance: float) -> None:
    """Let calls share lanes, and hold each result against that of its payload in a batch of its own.

    Args:
        calls: what comes, and when.
        shared: what runs it.
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
