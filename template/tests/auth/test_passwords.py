"""Tests of the limit on concurrent password hashing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import pytest

from app.auth import passwords
from app.auth.passwords import MOST_WAITING, THREADS, Passwords
from app.errors import OverloadedError

PASSWORD = "correct horse battery"


async def test_a_request_over_the_limit_is_refused_and_may_be_repeated() -> None:
    with closing(Passwords()) as hasher:
        asked = [hasher.verify(PASSWORD, None) for _ in range(THREADS + MOST_WAITING + 1)]
        *answers, refused = await asyncio.gather(*asked, return_exceptions=True)
        assert answers == [False] * (THREADS + MOST_WAITING)
        assert isinstance(refused, OverloadedError)
        assert await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))


async def test_a_caller_who_leaves_frees_the_place() -> None:
    with closing(Passwords()) as hasher:
        waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(THREADS + MOST_WAITING)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await hasher.hash(PASSWORD)


async def test_the_threads_that_everything_shares_are_left_alone() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    taken, free = asyncio.Event(), threading.Event()

    def occupy(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(taken.set)
        free.wait()

    busy = asyncio.create_task(asyncio.to_thread(occupy, asyncio.get_running_loop()))
    await taken.wait()
    try:
        with closing(Passwords()) as hasher:
            async with asyncio.timeout(30):
                assert await hasher.hash(PASSWORD)
    finally:
        free.set()
        await busy


async def test_signing_in_and_registering_are_refused_with_the_time_to_come_back(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", -THREADS)
    for answer in (
        await client.post("/v1/auth/token", data={"username": "ada@example.com", "password": PASSWORD}),
        await client.post("/v1/auth/register", json={"email": "ada@example.com", "password": PASSWORD}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
