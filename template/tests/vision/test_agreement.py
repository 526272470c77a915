"""Tests that detections do not depend on concurrent requests, their timing or their cancellation."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.onnx_session import load_session
from app.inference.latency_curve import LatencyCurve
from app.inference.ports import ModelSession
from app.vision.manifest import load_detection_model
from app.vision.raw_detections import Pixels, run_detector
from tests.inference.interleaving import Call, Shared, calls_of, compare_with_single

MODEL = load_detection_model(Path(__file__).parents[2] / "models" / "detection")
# In pixels of the model's input; the order of summation depends on the batch size.
TOLERANCE = 1e-3


@cache
def session() -> ModelSession:
    return asyncio.run(load_session(MODEL.graph, providers=["CPUExecutionProvider"], threads=1))


@cache
def picture(seed: int) -> Pixels:
    """Return a picture of coarse or fine blocks."""
    manifest = MODEL.manifest
    side = 2 ** (seed % 6 + 1)
    blocks = np.random.default_rng(seed).integers(
        0, 256, (manifest.height // side, manifest.width // side, 3), np.uint8
    )
    return blocks.repeat(side, axis=0).repeat(side, axis=1)


@settings(max_examples=15)
@given(
    calls_of(st.integers(0, 11).map(picture), payloads=4, calls=8),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_batched_and_single_results_agree(calls: Sequence[Call], rows: int, units: int, lanes: int) -> None:
    run = partial(run_detector, session(), MODEL.manifest.input)
    curve = LatencyCurve.assumed(units, 0.001, lanes=lanes)
    shared = Shared(run, curve, rows, size=lambda _: 1, read=lambda raw: raw.output)
    compare_with_single(calls, shared, tolerance=TOLERANCE)
