"""Tests of the prediction recorder: it never delays an answer and never grows without limit."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs

from app.auth.caller import Caller
from app.database import Database, DatabaseSettings, open_database
from app.errors import UnavailableError
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import (
    BATCH_BYTES,
    MOST_OUTPUT_BYTES,
    PredictionRecorder,
    QueuedPrediction,
    open_recorder,
    writing,
)
from app.predictions.settings import PredictionsSettings
from tests.predictions.rows import read_predictions, wait_for_predictions

KEEP = PredictionsSettings(keep=True)
ADA = Caller(UUID(int=1))


def outcome(outputs: object = None) -> Outcome:
    return Outcome("classifications", "moods", "1", sha256_of("a text"), outputs)


class FakeStore:
    """A fake store that can be blocked and can fail."""

    def __init__(self, *failures: Exception) -> None:
        self.saved: list[QueuedPrediction] = []
        self.sizes: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.called = asyncio.Event()
        self.failures = list(failures)

    async def save(self, batch: Sequence[QueuedPrediction]) -> None:
        """Wait until the store is open, then fail or store the batch."""
        self.called.set()
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.saved += batch
        self.sizes.append(sum(each.size for each in batch))


def many(count: int) -> Iterable[Outcome]:
    return [outcome(number) for number in range(count)]


async def test_what_waits_at_the_end_is_saved(database: Database, account_id: UUID) -> None:
    async with open_recorder(KEEP, database) as recorder:
        await recorder.record(lambda: many(1200), caller=Caller(account_id))
    rows = await read_predictions(database)
    assert {row.outputs for row in rows} == set(range(1200))
    assert {row.owner_id for row in rows} == {account_id}


async def test_nothing_is_kept_unless_it_is_wanted(database: Database, account_id: UUID) -> None:
    async with open_recorder(PredictionsSettings(), database) as recorder:
        await recorder.record(lambda: pytest.fail("was made"), caller=Caller(account_id))
    assert await read_predictions(database) == []


async def test_an_owner_who_is_gone_does_not_take_those_of_others_along(database: Database, account_id: UUID) -> None:
    async with open_recorder(KEEP, database) as recorder:
        await recorder.record(lambda: many(2), caller=Caller(uuid4()))
        await recorder.record(lambda: many(3), caller=Caller(account_id))
    assert len(await read_predictions(database)) == 3


async def test_texts_and_numbers_that_the_database_lacks_are_replaced(database: Database, account_id: UUID) -> None:
    odd = {"nul\0": "a\0b", "numbers": [float("nan"), float("inf"), 1.5], "text": "\\u0000"}
    async with open_recorder(KEEP, database) as recorder:
        await recorder.record(lambda: [outcome(odd)], caller=Caller(account_id))
    [row] = await read_predictions(database)
    assert row.outputs is not None
    assert row.outputs["nul\ufffd"] == "a\ufffdb"
    assert row.outputs["numbers"] == [None, None, 1.5]


async def test_outputs_that_are_too_large_are_left_out(database: Database, account_id: UUID) -> None:
    async with open_recorder(KEEP, database) as recorder:
        await recorder.record(lambda: [outcome("x" * MOST_OUTPUT_BYTES)], caller=Caller(account_id))
    [row] = await read_predictions(database)
    assert (row.outputs, row.input_sha256) == (None, sha256_of("a text"))


async def test_outputs_are_made_into_json_once(database_url: str, account_id: UUID) -> None:
    made: list[object] = []

    def write(value: object) -> str:
        made.append(value)
        return json.dumps(value)

    engine = create_async_engine(database_url, json_serializer=write)
    async with open_recorder(KEEP, Database(engine)) as recorder:
        await recorder.record(lambda: [outcome({"scores": [0.5]}), outcome("ä")], caller=Caller(account_id))
    rows = await read_predictions(Database(engine))
    await engine.dispose()
    assert ([row.outputs for row in rows], made) == ([{"scores": [0.5]}, "ä"], [])


async def test_a_batch_of_large_outputs_ends_early() -> None:
    store = FakeStore()
    async with writing(PredictionRecorder(store.save)) as recorder:
        await recorder.record(lambda: [outcome("x" * 50_000) for _ in range(40)], caller=ADA)
    assert len(store.saved) == 40
    assert max(store.sizes) < BATCH_BYTES + MOST_OUTPUT_BYTES


async def test_what_cannot_be_made_into_a_prediction_is_in_the_log_alone() -> None:
    store = FakeStore()
    with capture_logs() as logs:
        async with writing(PredictionRecorder(store.save)) as recorder:
            await recorder.record(lambda: [outcome(object())], caller=ADA)
    assert [line["event"] for line in logs] == ["predictions.lost"]
    assert store.saved == []


async def test_too_many_are_dropped_and_counted_and_told_of_once() -> None:
    store = FakeStore()
    store.open.clear()
    with capture_logs() as logs:
        async with writing(PredictionRecorder(store.save, most_bytes=10_000)) as recorder:
            for _ in range(5):
                await recorder.record(lambda: many(4), caller=ADA)
            assert recorder.waiting == 8
            assert [line["event"] for line in logs] == ["predictions.dropping"]
            store.open.set()
    assert len(store.saved) == 8
    assert [(line["event"], line.get("predictions")) for line in logs[1:]] == [("predictions.dropped", 12)]


async def test_after_a_flood_predictions_are_kept_again() -> None:
    store = FakeStore()
    async with writing(PredictionRecorder(store.save, most_bytes=5_000)) as recorder:
        for _ in range(10):
            await recorder.record(lambda: many(4), caller=ADA)
            while recorder.waiting:
                await asyncio.sleep(0)
    assert len(store.saved) == 40


async def test_a_database_that_is_away_for_a_while_loses_nothing() -> None:
    store = FakeStore(UnavailableError("away"), UnavailableError("away"))
    with capture_logs() as logs:
        async with writing(PredictionRecorder(store.save, retry_seconds=0)) as recorder:
            await recorder.record(lambda: many(3), caller=ADA)
    assert len(store.saved) == 3
    assert [line["event"] for line in logs] == ["predictions.delayed"]


async def test_a_database_that_is_too_slow_for_a_while_loses_nothing(
    database: Database, database_url: str, account_id: UUID
) -> None:
    settings = DatabaseSettings.model_validate({"url": database_url, "statement_timeout": 200})
    with capture_logs() as logs:
        async with open_database(settings) as impatient, open_recorder(KEEP, impatient) as recorder:
            async with database.transaction() as session:
                await session.execute(text("LOCK TABLE predictions"))
                await recorder.record(lambda: many(3), caller=Caller(account_id))
                async with asyncio.timeout(30):
                    while not logs:
                        await asyncio.sleep(0.02)
            await wait_for_predictions(database, 3)
    assert [line["event"] for line in logs] == ["predictions.delayed"]


async def test_a_batch_that_the_database_refuses_is_told_of_and_the_next_is_saved() -> None:
    store = FakeStore(ValueError("no"))
    with capture_logs() as logs:
        async with writing(PredictionRecorder(store.save)) as recorder:
            await recorder.record(lambda: many(2), caller=ADA)
            await store.called.wait()
            await recorder.record(lambda: many(3), caller=ADA)
    assert len(store.saved) == 3
    assert [(line["event"], line["predictions"]) for line in logs] == [("predictions.lost", 2)]


async def test_a_database_that_stays_away_does_not_hold_up_the_end() -> None:
    settings = DatabaseSettings.model_validate({"url": "postgresql+asyncpg://app:app@127.0.0.1:1/app"})
    async with open_database(settings) as database:

        async def save(_: Sequence[QueuedPrediction]) -> None:
            async with database.transaction() as session:
                await session.connection()

        with capture_logs() as logs:
            async with writing(PredictionRecorder(save), grace=0.05) as recorder:
                await recorder.record(lambda: many(3), caller=ADA)
    assert (logs[-1]["event"], logs[-1]["predictions"]) == ("predictions.lost", 3)
