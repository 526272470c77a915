"""Tests of cancellation: tasks end even if a cancellation is lost, and critical work is finished first."""

import asyncio

import pytest

from app.cancellation import cancel_and_wait, finish


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


async def test_cancelling_no_tasks_is_harmless() -> None:
    await cancel_and_wait()


async def test_work_is_done_before_the_cancellation_of_who_waits_for_it_goes_on() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("begun")
        await asyncio.sleep(0.01)
        steps.append("done")

    waiting = asyncio.create_task(finish(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert steps == ["begun", "done"]


async def test_the_result_of_finished_work_and_its_failure_are_passed_on() -> None:
    async def divide(number: int) -> float:
        return 1 / number

    assert await finish(divide(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        await finish(divide(0))
