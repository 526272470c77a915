"""Tests that a pair's logit does not depend on concurrent requests, their timing or their cancellation."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.onnx_session import load_session
from app.inference.latency_curve import LatencyCurve
from app.inference.ports import ModelSession
from app.reranking.cross_encoder import score_pairs
from app.reranking.pairs import Pair, PairReader
from tests.inference.interleaving import Call, Shared, calls_of, compare_with_single
from tests.reranking.graphs import PADDING, WORDS, cross_encoder, register_cross_encoder, word_tokenizer

TOLERANCE = 1e-4
TEXT = st.lists(st.sampled_from(WORDS[4:]), min_size=1, max_size=40).map(" ".join)
READER = PairReader(word_tokenizer(), 48, PADDING)


@cache
def session() -> ModelSession:
    with TemporaryDirectory() as folder:
        graph = register_cross_encoder(Path(folder), cross_encoder()) / "model.onnx"
        return asyncio.run(load_session(graph, providers=["CPUExecutionProvider"], threads=1))


def pair(query: str, document: str) -> Pair:
    return READER.begin(query).read([document])[0]


@settings(max_examples=40)
@given(calls_of(st.builds(pair, TEXT, TEXT)), st.integers(1, 16), st.integers(16, 400), st.integers(1, 3))
def test_batched_and_single_results_agree(calls: Sequence[Call], rows: int, units: int, lanes: int) -> None:
    curve = LatencyCurve.assumed(units, 0.001, lanes=lanes)
    shared = Shared(partial(score_pairs, session(), PADDING), curve, rows, size=lambda each: len(each.ids))
    compare_with_single(calls, shared, tolerance=TOLERANCE)
