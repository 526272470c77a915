"""Tests of batching: requests that share a model."""

import asyncio

import pytest

from app.errors import OverloadedError, UnavailableError, UpstreamFailedError, UpstreamTimeoutError
from app.inference.batching import Batcher
from tests.inference.gated_model import PATIENCE, GatedModel, batcher_of, occupied, queued


async def test_what_arrives_while_a_batch_runs_runs_together_next() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        rest = [await queued(batcher, number) for number in range(1, 6)]
        model.allow()
        assert await first == [0]
        assert await asyncio.gather(*rest) == [[1], [4], [9], [16], [25]]
    assert model.batches == [[0], [1, 2, 3, 4, 5]]


async def test_what_arrives_in_one_turn_of_the_event_loop_runs_together() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model) as batcher:
        await asyncio.gather(*(batcher.submit([number], [1]) for number in range(5)))
    assert model.batches == [[0, 1, 2, 3, 4]]


async def test_batches_keep_to_the_limits_of_rows_and_of_padded_units() -> None:
    model = GatedModel()
    async with batcher_of(model, rows=4, units=100) as batcher:
        first = await occupied(batcher, model)
        many = await queued(batcher, *range(10))
        long = await queued(batcher, 20, 21, 22, size=40)
        huge = await queued(batcher, 30, size=1000)
        model.allow()
        await asyncio.gather(first, many, long, huge)
    assert all(len(batch) <= 4 for batch in model.batches)
    assert [30] in model.batches, "one item runs, whatever its size"
    assert max(len(set(batch) & {20, 21, 22}) for batch in model.batches) == 2, "three of 40 are above 100"


async def test_a_submission_of_many_batches_keeps_its_order() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model, rows=7) as batcher:
        outcome = await batcher.submit(list(range(100)), [1 + number % 13 for number in range(100)])
    assert outcome.results == [number * number for number in range(100)]
    assert outcome.queue_seconds >= 0
    assert outcome.run_seconds >= 0


async def test_one_who_asks_for_little_is_served_before_the_rest_of_a_flood() -> None:
    model = GatedModel()
    async with batcher_of(model, rows=4) as batcher:
        first = await occupied(batcher, model)
        flood = [await queued(batcher, number, owner="flood") for number in range(100, 200)]
        modest = await queued(batcher, 7, owner="modest")
        model.allow(2)
        assert await modest == [49]
        assert sum(task.done() for task in flood) < 4
        model.allow()
        await asyncio.gather(first, *flood)


async def test_cancelled_work_never_runs() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        kept, dropped = await queued(batcher, 2), await queued(batcher, 3, 4)
        dropped.cancel()
        await asyncio.wait([dropped])
        model.allow()
        assert [await first, await kept] == [[0], [4]]
    assert model.batches == [[0], [2]]


async def test_work_that_is_not_begun_by_its_deadline_is_dropped_and_never_runs() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        late = await queued(batcher, 5, within=0.3)
        with pytest.raises(OverloadedError):
            await late
        model.allow()
        await first
    assert model.batches == [[0]]


async def test_callers_of_a_stuck_batch_get_an_error_and_the_model_is_not_ready_until_it_ends() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        stuck = await queued(batcher, 5, within=0.2)
        await model.begun()
        with pytest.raises(UpstreamTimeoutError):
            await asyncio.wait_for(stuck, PATIENCE)
        with pytest.raises(UnavailableError, match="does not answer"):
            batcher.ping()
        model.allow()
        assert await (await queued(batcher, 3)) == [9]
        batcher.ping()


def is_stuck(batcher: Batcher) -> bool:
    try:
        batcher.ping()
    except UnavailableError:
        return True
    return False


async def test_a_batch_that_never_ends_is_noticed_although_its_caller_has_left() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        stuck = await queued(batcher, 5, within=0.2)
        await model.begun()
        stuck.cancel()
        async with asyncio.timeout(PATIENCE):
            while not is_stuck(batcher):
                await asyncio.sleep(0.01)
        model.allow()
        assert await (await queued(batcher, 3)) == [9]
        batcher.ping()


async def test_a_model_with_a_lane_that_is_free_is_ready_though_another_is_stuck() -> None:
    one, other = GatedModel(), GatedModel()
    async with batcher_of(one, other) as batcher:
        with pytest.raises(UpstreamTimeoutError):
            await (await queued(batcher, 5, within=0.2))
        batcher.ping()
        one.allow()
        other.allow()


async def test_work_that_runs_at_its_deadline_may_finish() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        running = await queued(batcher, 5, within=0.5)
        await model.begun()
        await asyncio.sleep(0.6)
        model.allow()
        assert await running == [25]


async def test_what_cannot_be_ready_in_time_is_refused_at_once_with_the_time_to_come_back() -> None:
    model = GatedModel()
    async with batcher_of(model, rows=1, units=1, seconds=100) as batcher:
        first = await occupied(batcher, model)
        waiting = [await queued(batcher, number) for number in range(10)]
        # 100 seconds for the running batch, 1,000 for the queue, a quarter as margin, 100 for itself; 700 are allowed.
        with pytest.raises(OverloadedError) as refused:
            await batcher.submit([1], [1], within=700)
        assert 650 <= int(refused.value.headers["Retry-After"]) <= 776
        admitted = await queued(batcher, 3, within=1700)
        newcomer = await queued(batcher, 4, within=400, owner="somebody else, whose turn comes first")
        model.allow()
        await asyncio.gather(first, *waiting)
        assert [await admitted, await newcomer] == [[9], [16]]
    assert len(model.batches) == 13


async def test_a_large_submission_on_an_idle_model_is_not_refused_for_its_size() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model, rows=1, units=1, seconds=1) as batcher:
        outcome = await batcher.submit(list(range(50)), [1] * 50, within=2)
    assert len(outcome.results) == 50


async def test_an_idle_model_is_never_refused_work_for_what_is_believed_of_it() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model, seconds=1000) as batcher:
        assert await (await queued(batcher, 3, within=1)) == [9]


async def test_a_model_that_gives_too_few_results_is_an_error_not_a_mix_up() -> None:
    async def attempt() -> None:
        await (await queued(batcher, 1, 2))

    model = GatedModel()
    model.allow()
    model.run = lambda payloads: list(payloads)[1:]  # type: ignore[method-assign]
    async with batcher_of(model) as batcher:
        with pytest.raises(UpstreamFailedError):
            await attempt()


async def test_what_is_in_flight_at_shutdown_is_answered_and_new_work_is_refused() -> None:
    model = GatedModel()
    async with batcher_of(model, rows=4) as batcher:
        tasks = [await occupied(batcher, model)]
        tasks += [await queued(batcher, number) for number in range(1, 32)]
        closing = asyncio.create_task(batcher.close(30))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await batcher.submit([1], [1])
        with pytest.raises(UnavailableError):
            batcher.ping()
        model.allow()
        assert await asyncio.gather(*tasks) == [[number * number] for number in range(32)]
        await closing


async def test_what_is_left_when_the_grace_period_is_over_is_told_so() -> None:
    model = GatedModel()
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        queue = await queued(batcher, 1)
        closing = asyncio.create_task(batcher.close(0))
        for task in (first, queue):
            with pytest.raises(UnavailableError):
                await task
        model.allow()
        await closing
    assert model.batches == [[0]]
