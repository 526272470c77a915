"""Endless tasks end, also when a cancellation is lost."""

import asyncio

import pytest

from app.cancellation import cancel_and_wait


async def _go_on(deaf_to: int) -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if deaf_to == 0:
                raise
            deaf_to -= 1


@pytest.mark.parametrize("deaf_to", [0, 1, 2])
async def test_a_lost_cancellation_is_repeated(deaf_to: int) -> None:
    tasks = [asyncio.create_task(_go_on(deaf_to)), asyncio.create_task(_go_on(0))]
    await asyncio.sleep(0)
    await cancel_and_wait(*tasks, patience=0.01)
    assert all(task.cancelled() for task in tasks)


async def test_a_task_that_has_failed_is_over() -> None:
    async def fail() -> None:
        raise ValueError

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    await cancel_and_wait(task)
    assert isinstance(task.exception(), ValueError)


async def test_there_may_be_none() -> None:
    await cancel_and_wait()
