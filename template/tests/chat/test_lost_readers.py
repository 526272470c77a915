"""Readers who leave or stall during an answer: no provider connection is left open or blamed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpcore2
import pytest
from starlette.types import Message as AsgiMessage

from app.chat.chunks import Chunks, chunk_frames
from app.chat.ports import Finished, Hidden, LanguageModel, ModelAttempt, ModelEvent
from app.event_stream import EventStream, ReadAhead
from tests.chat.chains import REQUEST, Pair
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import PROVIDERS, Provider

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}

both = pytest.mark.parametrize("kind", PROVIDERS)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[httpcore2.AsyncConnectionPool]:
    """The connection pools of all clients opened during the test."""
    opened: list[httpcore2.AsyncConnectionPool] = []

    class Pool(httpcore2.AsyncConnectionPool):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on unmodified
            super().__init__(*args, **options)
            opened.append(self)

    monkeypatch.setattr(httpcore2, "AsyncConnectionPool", Pool)
    return opened


async def answer(model: LanguageModel) -> AsyncGenerator[ModelEvent, None]:
    async with aclosing(model.stream(REQUEST)) as events:
        async for event in events:
            if not isinstance(event, ModelAttempt | Hidden):
                yield event


async def read_and_leave(model: LanguageModel, provider: FakeProvider, words: bytes) -> None:
    """Read until these words arrive, then disconnect."""
    left = asyncio.Event()
    provider.called.clear()

    async def receive() -> AsgiMessage:
        await left.wait()
        await provider.called.wait()
        return {"type": "http.disconnect"}

    async def send(message: AsgiMessage) -> None:
        if words in message.get("body", b""):
            left.set()

    reading = ReadAhead(answer(model))
    await EventStream(chunk_frames(reading, Chunks("default")), reading)(SCOPE, receive, send)


@both
@pytest.mark.parametrize(("fault", "words"), [("mute", b"assistant"), ("stalls", b"months")])
async def test_nothing_is_left_of_a_request_whose_reader_has_left(
    pair: Pair, kind: Provider, fault: str, words: bytes, pools: list[httpcore2.AsyncConnectionPool]
) -> None:
    settings = pair.chain(kind, fault)
    settings.providers["first"].first_token_timeout = settings.providers["first"].idle_timeout = 60
    async with pair.open(settings) as model, asyncio.timeout(60):
        for _ in range(3):
            await read_and_leave(model, pair.provider, words)
        assert len(pair.provider.calls) == 3
        while any("Requests: 0 active, 0 queued | Connections: 0 active" not in repr(pool) for pool in pools):
            await asyncio.sleep(0.01)


@both
async def test_the_time_that_a_reader_takes_is_not_held_against_the_provider(
    pair: Pair, kind: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pair.chain(kind, "pauses")
    settings.total_timeout = 60
    loop, ahead = asyncio.get_running_loop(), 0.0
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    async with pair.open(settings) as model, aclosing(answer(model)) as events:
        await anext(events)
        ahead = 120.0
        pair.provider.go.set()
        *_, end = [event async for event in events]
    assert isinstance(end, Finished)
