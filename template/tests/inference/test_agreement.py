"""Vectors do not depend on who else asks, when, or who goes away."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.onnx_session import load_session
from app.inference.batching import open_batcher
from app.inference.encoder import encode
from app.inference.latency_curve import LatencyCurve

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"
# Sums over other lengths of padding are rounded otherwise.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Call:
    """One caller's request, and when, in turns of the event loop, it comes and is given up."""

    owner: str
    ids: Sequence[Sequence[int]]
    comes_at: int
    leaves_after: int | None


TEXT = st.lists(st.integers(1, 20_000), min_size=1, max_size=80)
CALLS = st.lists(
    st.builds(
        Call,
        st.sampled_from(["ada", "bob", "cy"]),
        st.lists(TEXT, min_size=1, max_size=6),
        st.integers(0, 20),
        st.none() | st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(CALLS, st.integers(1, 16), st.integers(16, 1000), st.integers(1, 3))
def test_batched_and_single_results_agree(calls: list[Call], rows: int, units: int, lanes: int) -> None:
    asyncio.run(compare(calls, rows, LatencyCurve.assumed(units, 0.001, lanes=lanes)))


async def compare(calls: list[Call], rows: int, curve: LatencyCurve) -> None:
    session = await load_session(MODEL, providers=["CPUExecutionProvider"], threads=1)
    run = partial(encode, session)
    async with AsyncExitStack() as stack:
        batcher = await stack.enter_async_context(open_batcher("x", [run] * curve.lanes, curve, rows=rows, grace=30))

        async def ask(call: Call) -> list[np.ndarray]:
            await turns(call.comes_at)
            return (await batcher.submit(call.ids, [len(ids) for ids in call.ids], owner=call.owner)).results

        async def follow(call: Call) -> list[np.ndarray] | None:
            asking = asyncio.create_task(ask(call))
            if call.leaves_after is not None:
                await turns(call.comes_at + call.leaves_after)
                asking.cancel()
            await asyncio.wait([asking])
            return None if asking.cancelled() else asking.result()

        answers = await asyncio.gather(*map(follow, calls))
    for call, answer in zip(calls, answers, strict=True):
        assert answer is not None or call.leaves_after is not None
        for ids, vector in zip(call.ids, answer or (), strict=answer is not None):
            np.testing.assert_allclose(vector, run([ids])[0], atol=TOLERANCE)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
