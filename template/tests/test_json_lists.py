"""Tests that long answers are written in parts and let other tasks run in between."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import numpy as np

from app.classification.classifier import Classified
from app.classification.schemas import LABELS_AT_ONCE, ClassificationList, write_classifications
from app.inference.schemas import NUMBERS_AT_ONCE, EmbeddingList, write_embeddings


async def turns_while(writing: Coroutine[Any, Any, bytes]) -> tuple[bytes, int]:
    """Return what is written, and how many turns another task got meanwhile."""
    task, turns = asyncio.create_task(writing), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return task.result(), turns


async def test_embeddings_of_many_inputs_let_others_go_on() -> None:
    vectors = np.random.default_rng(1).random((2048, 100), np.float32)
    content, turns = await turns_while(write_embeddings(vectors, "float", model="m", tokens=7))
    assert turns >= vectors.size / NUMBERS_AT_ONCE
    read = EmbeddingList.model_validate_json(content)
    assert [each.index for each in read.data] == list(range(2048))
    assert (read.model, read.usage.total_tokens) == ("m", 7)
    np.testing.assert_array_equal(np.array([each.embedding for each in read.data], np.float32), vectors)
    assert json.loads(await write_embeddings(vectors[:0], "float", model="m", tokens=0))["data"] == []


async def test_classifications_of_many_texts_let_others_go_on() -> None:
    labels = [f"label {number}" for number in range(100)]
    scores = np.random.default_rng(1).random((256, 100))
    writing = write_classifications(Classified(labels, scores, 7, 0.0, 0.0), model="m", version="1")
    content, turns = await turns_while(writing)
    assert turns >= scores.size / LABELS_AT_ONCE
    read = ClassificationList.model_validate_json(content)
    assert (read.model, read.version, read.usage.total_tokens, len(read.results)) == ("m", "1", 7, 256)
    for row, result in zip(scores, read.results, strict=True):
        best = sorted(zip(labels, row.tolist(), strict=True), key=lambda each: -each[1])
        assert [(each.label, each.score) for each in result.labels] == [(label, round(at, 6)) for label, at in best]
