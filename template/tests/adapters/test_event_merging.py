"""Chunks of an answer that wait together are read together, and say what they said apart."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.event_merging import MergedEvents, merge, merge_waiting_events


def event(delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
    """Write a chunk as OpenAI does, with a text that only fills it up."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], "obfuscation": "x", **more}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def text(said: str) -> bytes:
    return event({"content": said})


OTHERS = [
    event({"role": "assistant", "content": None}),
    event({"content": "too"}, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
    event({"content": "end"}, "stop"),
    event({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]}),
    event({"content": "so", "reasoning_content": "Let me think."}),
    event({"content": None, "refusal": "No."}),
    text("<think>"),
    text("</think>"),
    b'data: {"error": {"message": "sorry"}}\n\n',
    b'data: {"choices": [\n\n',
    b"data: [1]\n\n",
    b": keep-alive\n\n",
    b"event: ping\ndata: {}\n\n",
    b"data: [DONE]\n\n",
]
events = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8", exclude_characters="<>")).map(text), st.sampled_from(OTHERS))
)


def said(stream: bytes) -> list[bytes]:
    """List what a stream says: texts in a row as one, all else as it is written."""
    every = [each + b"\n\n" for each in stream.split(b"\n\n")[:-1]]
    result: list[bytes] = []
    for is_text, group in groupby(every, key=lambda each: each not in OTHERS):
        if is_text:
            result.append("".join(json.loads(each[6:])["choices"][0]["delta"]["content"] for each in group).encode())
        else:
            result.extend(group)
    return result


class Provider(httpx2.AsyncByteStream):
    """Sends parts at once, then fails, or falls silent, or ends."""

    def __init__(self, parts: Sequence[bytes], then: Exception | None = None, *, is_silent: bool = False) -> None:
        self._parts = parts
        self._then = then
        self._is_silent = is_silent
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        if self._is_silent:
            await asyncio.Event().wait()
        if self._then:
            raise self._then

    async def aclose(self) -> None:
        self.is_closed = True


@given(events)
def test_merged_events_say_what_they_said_apart(apart: list[bytes]) -> None:
    together = merge(b"".join(apart))
    assert said(together) == said(b"".join(apart))


def test_texts_in_a_row_become_one() -> None:
    assert merge(text("Twenty-") + text("four ") + text("months")).count(b"data: ") == 1


def test_halves_of_a_character_that_was_cut_in_two_come_together() -> None:
    halves = [
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}',
        b'data: {"choices": [{"delta": {"content": "\\ude00"}}]}',
    ]
    assert said(merge(b"".join(half + b"\n\n" for half in halves))) == ["😀".encode()]


@pytest.mark.parametrize("alone", [text("Hi"), b"data: {}\r\n\r\ndata: {}\r\n\r\n"])
def test_what_comes_alone_or_is_written_otherwise_passes_as_it_is(alone: bytes) -> None:
    assert merge(alone) is alone


@given(events, st.integers(min_value=1, max_value=300))
def test_however_a_stream_is_cut_it_says_the_same(apart: list[bytes], size: int) -> None:
    whole = b"".join(apart)
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]

    async def read() -> bytes:
        return b"".join([each async for each in MergedEvents(Provider(parts))])

    assert said(asyncio.run(read())) == said(whole)


async def test_a_failure_comes_after_what_came_before_it() -> None:
    merged = aiter(MergedEvents(Provider([text("Hi"), b"data: {"], httpx2.ReadError("cut"))))
    assert await anext(merged) == text("Hi")
    with pytest.raises(httpx2.ReadError):
        await anext(merged)


async def test_closing_stops_waiting_for_a_silent_provider() -> None:
    provider = Provider([text("Hi")], is_silent=True)
    merged = MergedEvents(provider)
    assert await anext(aiter(merged)) == text("Hi")
    await merged.aclose()
    assert provider.is_closed
    assert [each async for each in merged] == []


async def test_a_second_loop_goes_on_where_the_first_one_left() -> None:
    merged = MergedEvents(Provider([text("Hi"), b"data: [DONE]\n\n"]))
    async for _ in merged:
        break
    assert [each async for each in merged] == []


@pytest.mark.parametrize(
    ("headers", "is_merged"),
    [
        ({"content-type": "text/event-stream; charset=utf-8"}, True),
        ({"content-type": "text/event-stream", "content-encoding": "gzip"}, False),
        ({"content-type": "application/json"}, False),
    ],
)
async def test_only_plain_streams_of_events_are_touched(headers: dict[str, str], *, is_merged: bool) -> None:
    response = httpx2.Response(200, headers=headers, stream=Provider([]))
    await merge_waiting_events(response)
    assert isinstance(response.stream, MergedEvents) == is_merged
    await response.aclose()
