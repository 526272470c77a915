"""Tests that a vector does not depend on concurrent requests, their timing or their cancellation."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.onnx_session import load_session
from app.inference.encoder import encode
from app.inference.latency_curve import LatencyCurve
from app.inference.ports import ModelSession
from tests.inference.interleaving import Call, Shared, calls_of, compare_with_single

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"
# Rounding depends on the length of the padding.
TOLERANCE = 1e-5

TEXT = st.lists(st.integers(1, 20_000), min_size=1, max_size=80)


@cache
def session() -> ModelSession:
    return asyncio.run(load_session(MODEL, providers=["CPUExecutionProvider"], threads=1))


@settings(max_examples=60)
@given(calls_of(TEXT), st.integers(1, 16), st.integers(16, 1000), st.integers(1, 3))
def test_batched_and_single_results_agree(calls: Sequence[Call], rows: int, units: int, lanes: int) -> None:
    curve = LatencyCurve.assumed(units, 0.001, lanes=lanes)
    compare_with_single(calls, Shared(partial(encode, session()), curve, rows), tolerance=TOLERANCE)
