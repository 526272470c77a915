"""The threads that run batches."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence

import pytest

from app.errors import UpstreamFailedError
from app.inference.lanes import NICENESS
from tests.inference.gated_model import GatedModel, batcher_of, queued


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
async def test_lanes_let_the_event_loop_have_the_processor_first() -> None:
    model = GatedModel()
    model.allow()
    async with batcher_of(model) as batcher:
        await batcher.submit([1], [1])
        lanes = [thread for thread in threading.enumerate() if thread.name.startswith("lane-")]
        assert {os.getpriority(os.PRIO_PROCESS, lane.native_id or 0) for lane in lanes} == {NICENESS}
    assert os.getpriority(os.PRIO_PROCESS, 0) < NICENESS
