"""The events of a streamed answer: complete, with a clear end, and stopped when the reader leaves."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from app.answers.events import answer_frames, render
from app.answers.service import Answer, AnswerEvent, AnswerService, Done, Passages, Token
from app.chat.ports import Usage
from app.errors import UnavailableError
from app.event_stream import EventStream, ReadAhead
from tests.answers.fakes import FakeLanguageModel, FakePrompts, FakeRetrieval, FakeUsage, caller, passage

ANSWER = Answer("Yes.\nSurely.", [], "fake:model", Usage(1, 2))


def parse(data: bytes) -> list[tuple[str, Any]]:
    """Parse events as a browser does."""
    blocks = [block.split("\n") for block in data.decode().split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(body.removeprefix("data: "))) for name, body in blocks]


async def frames_of(events: Sequence[AnswerEvent], failure: Exception | None = None) -> list[bytes]:
    async def rest() -> AsyncGenerator[AnswerEvent, None]:
        for event in events[1:]:
            yield event
        if failure:
            raise failure

    async with aclosing(ReadAhead(rest())) as reading:
        return [frame async for frame in answer_frames(events[0], reading)]


def test_each_event_has_a_name_and_one_line_of_json() -> None:
    [(passages, items), (token, text), (done, answer)] = parse(
        render([Passages([passage()]), Token("line\nbreak"), Done(ANSWER)])
    )
    assert (passages, items["items"][0]["filename"]) == ("passages", "terms.txt")
    assert (token, text) == ("token", {"text": "line\nbreak"})
    assert done == "done"
    assert answer == {
        "answer": "Yes.\nSurely.",
        "citations": [],
        "model": "fake:model",
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "finish_reason": "stop",
    }


def test_tokens_that_wait_together_are_sent_as_one() -> None:
    assert parse(render([Token("a"), Token("b"), Token("c")])) == [("token", {"text": "abc"})]


async def test_the_stream_ends_with_done_and_loses_no_text() -> None:
    words = [f"{number} " for number in range(1000)]
    events = parse(b"".join(await frames_of([Passages([]), *map(Token, words), Done(ANSWER)])))
    assert events[0][0] == "passages"
    assert events[-1][0] == "done"
    assert "".join(data["text"] for name, data in events if name == "token") == "".join(words)


async def test_a_foreseen_failure_ends_the_stream_with_its_problem() -> None:
    frames = await frames_of([Passages([]), Token("a")], UnavailableError("Overloaded."))
    events = parse(b"".join(frames))
    assert [name for name, _ in events] == ["passages", "token", "error"]
    problem = events[-1][1]
    assert (problem["status"], problem["code"], problem["detail"]) == (503, "unavailable", "Overloaded.")


async def test_an_unforeseen_failure_ends_the_stream_without_its_details() -> None:
    with capture_logs() as logs:
        frames = await frames_of([Passages([])], RuntimeError("secret"))
    name, problem = parse(b"".join(frames))[-1]
    assert (name, problem["status"]) == ("error", 500)
    assert b"secret" not in b"".join(frames)
    assert [entry["event"] for entry in logs] == ["answer.crashed"]


async def test_a_sign_of_life_is_sent_while_the_model_is_silent() -> None:
    model = FakeLanguageModel(["a"], silent=True)
    events = AnswerService(FakeRetrieval([passage()]), model, FakeUsage(), FakePrompts()).stream(
        "Why?", caller=caller()
    )
    first = await anext(events)
    async with (
        aclosing(ReadAhead(events)) as reading,
        aclosing(answer_frames(first, reading, keep_alive=0.01)) as frames,
    ):
        seen = [await anext(frames) for _ in range(6)]
        assert parse(b"".join(seen))[-1] == ("token", {"text": "a"})
        assert seen.count(b": keep-alive\n\n") == 4
    assert model.closed.is_set()


async def start(model: FakeLanguageModel) -> EventStream:
    events = AnswerService(FakeRetrieval([passage()]), model, FakeUsage(), FakePrompts()).stream(
        "Why?", caller=caller()
    )
    first = await anext(events)
    reading = ReadAhead(events)
    return EventStream(answer_frames(first, reading), reading)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_finished_stream_tells_proxies_not_to_hold_it_back(spec_version: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    response = await start(FakeLanguageModel(["a [1]"]))
    await response({"type": "http", "asgi": {"spec_version": spec_version}}, receive, send)
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert (headers[b"cache-control"], headers[b"x-accel-buffering"]) == (b"no-cache", b"no")
    events = parse(b"".join(message["body"] for message in sent[1:]))
    assert [name for name, _ in events] == ["passages", "token", "done"]


@pytest.mark.parametrize("while_sending", [True, False])
async def test_a_client_that_leaves_stops_the_model(while_sending: bool) -> None:  # noqa: FBT001 - the two cases
    model = FakeLanguageModel(["a"], silent=True)
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if b"event: token" in message.get("body", b""):
            left.set()
            if while_sending:
                await asyncio.Event().wait()

    response = await start(model)
    await asyncio.wait_for(response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 60)
    await asyncio.wait_for(model.closed.wait(), 60)
