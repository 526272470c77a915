"""Tests of the threads that run batches."""

import asyncio
import math
import os
import sys
import threading
from collections.abc import Sequence

import pytest

from app.errors import OutOfMemoryError, UpstreamFailedError
from app.inference.lanes import NICENESS
from tests.inference.gated_model import GatedModel, batcher_of, occupied, queued


async def test_what_one_batch_cannot_hold_wakes_the_next_lane() -> None:
    one, other = GatedModel(), GatedModel()
    async with batcher_of(one, other, rows=5) as batcher:
        task = await queued(batcher, *range(10))
        await asyncio.gather(one.begun(), other.begun())
        one.allow()
        other.allow()
        assert len(await task) == 10


async def test_a_free_lane_takes_work_while_another_is_busy() -> None:
    busy, other = GatedModel(), GatedModel()
    async with batcher_of(busy, other) as batcher:
        tasks = [await queued(batcher, 1)]
        while not busy.batches and not other.batches:
            await asyncio.sleep(0)
        tasks.append(await queued(batcher, 2))
        await asyncio.gather(busy.begun(), other.begun())
        busy.allow()
        other.allow()
        assert await asyncio.gather(*tasks) == [[1], [4]]


def die_of_thirteen(payloads: Sequence[int]) -> None:
    if 13 in payloads:
        raise SystemExit


async def test_a_lane_whose_thread_dies_is_replaced() -> None:
    model = GatedModel(die_of_thirteen)
    model.allow()
    async with batcher_of(model) as batcher:
        for _ in range(3):
            with pytest.raises(UpstreamFailedError):
                await (await queued(batcher, 13))
            assert await (await queued(batcher, 5)) == [25]
        batcher.ping()


def refuse_thirteen(payloads: Sequence[int]) -> None:
    if 13 in payloads:
        raise ValueError("unlucky")


async def test_input_that_the_model_fails_on_fails_its_caller_alone() -> None:
    model = GatedModel(refuse_thirteen)
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        good, bad, other = await queued(batcher, 1, 2), await queued(batcher, 3, 13), await queued(batcher, 4)
        model.allow()
        with pytest.raises(UpstreamFailedError):
            await bad
        assert [await first, await good, await other] == [[0], [1, 4], [16]]
        assert await (await queued(batcher, 5)) == [25]
        batcher.ping()


def reject_all_but_zero(payloads: Sequence[int]) -> None:
    if list(payloads) != [0]:
        raise UpstreamFailedError("The key is wrong.")


async def test_a_batch_that_fails_for_all_callers_is_not_halved() -> None:
    model = GatedModel(reject_all_but_zero)
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        others = [await queued(batcher, number) for number in range(1, 5)]
        model.allow()
        await first
        for each in others:
            with pytest.raises(UpstreamFailedError, match="key"):
                await each
    assert [sorted(batch) for batch in model.batches] == [[0], [1, 2, 3, 4]]


async def test_a_bad_input_among_many_costs_a_few_runs_and_its_owner_then_runs_apart() -> None:
    model = GatedModel(refuse_thirteen)
    async with batcher_of(model) as batcher:
        tasks = [await occupied(batcher, model)]
        tasks += [await queued(batcher, number, owner=number) for number in range(1, 65)]
        model.allow()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [13]
        assert len(model.batches) <= 2 + 2 * math.log2(64)
        model.batches.clear()
        again = [batcher.submit([number], [1], owner=number) for number in range(1, 65)]
        await asyncio.gather(*again, return_exceptions=True)
        assert sorted(map(len, model.batches)) == [1, 63]


def run_two_at_most(payloads: Sequence[int]) -> None:
    if len(payloads) > 2:
        raise OutOfMemoryError("Too much.", retry_after=1)


async def test_a_batch_that_has_no_memory_runs_in_parts_even_if_it_is_of_one_caller() -> None:
    model = GatedModel(run_two_at_most)
    async with batcher_of(model) as batcher:
        first = await occupied(batcher, model)
        small, large, other = await queued(batcher, 1, 2), await queued(batcher, 3, 4, 5), await queued(batcher, 6)
        model.allow()
        assert [await first, await small, await large, await other] == [[0], [1, 4], [9, 16, 25], [36]]
        model.batches.clear()
        assert await (await queued(batcher, *range(8))) == [number * number for number in range(8)]
    assert max(map(len, model.batches)) <= 2


def run_no_thirteen(payloads: Sequence[int]) -> None:
    if 13 in payloads:
        raise OutOfMemoryError("Too much.", retry_after=1)


async def test_a_caller_who_exceeds_the_memory_is_refused_and_does_not_shrink_the_batches_of_others() -> None:
    model = GatedModel(run_no_thirteen)
    model.allow()
    async with batcher_of(model) as batcher:
        with pytest.raises(OutOfMemoryError):
            await batcher.submit(list(range(20)), [1] * 20, owner="greedy")
        model.batches.clear()
        await batcher.submit(list(range(20, 40)), [1] * 20, owner="modest")
    assert [len(batch) for batch in model.batches] == [20]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
async def test_lanes_let_the_event_loop_have_the_processor_first() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model) as batcher:
        await batcher.submit([1], [1])
        lanes = [thread for thread in threading.enumerate() if thread.name.startswith("lane-")]
        assert {os.getpriority(os.PRIO_PROCESS, lane.native_id or 0) for lane in lanes} == {NICENESS}
    assert os.getpriority(os.PRIO_PROCESS, 0) < NICENESS
