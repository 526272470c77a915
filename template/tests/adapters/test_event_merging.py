"""Tests of event merging: chunks that wait together are forwarded as one, with the same content."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters import event_merging
from app.adapters.event_merging import MergedEvents, merge, merge_waiting_events


def event(delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
    """Return a chunk in OpenAI's format, with padding."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], "obfuscation": "x", **more}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def text(said: str) -> bytes:
    return event({"content": said})


def anthropic(kind: str, **content: object) -> bytes:
    """Return an event in Anthropic's format."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **content}).encode())


def part_text(said: str, part: int = 0) -> bytes:
    return anthropic("content_block_delta", index=part, delta={"type": "text_delta", "text": said})


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
    anthropic(
        "message_start", message={"id": "msg_1", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}}
    ),
    anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    anthropic("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{"}),
    anthropic("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Let me think."}),
    anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi", "citations": ["a"]}),
    part_text("<think>"),
    anthropic("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
    b'event: content_block_delta\ndata: {"type": \n\n',
]
words = st.text(st.characters(codec="utf-8", exclude_characters="<>"))
pieces = st.one_of(words.map(text), st.builds(part_text, words, st.integers(0, 1)), st.sampled_from(OTHERS))
events = st.lists(pieces)


def part_key(event: bytes) -> tuple[bytes, object]:
    """Return a key for the part of an answer that a text belongs to; other events are their own key."""
    if event in OTHERS:
        return event, None
    head, _, data = event.partition(b"data: ")
    return head, json.loads(data).get("index")


def text_of(event: bytes) -> bytes:
    chunk = json.loads(event.partition(b"data: ")[2])
    written: str = chunk["choices"][0]["delta"]["content"] if "choices" in chunk else chunk["delta"]["text"]
    return written.encode("utf-8", "surrogatepass")


def contents_of(stream: bytes) -> list[tuple[bytes, object, bytes]]:
    """List the content of a stream, with consecutive texts of one part joined and all other events as they are."""
    every = [each + b"\n\n" for each in stream.split(b"\n\n")[:-1]]
    result: list[tuple[bytes, object, bytes]] = []
    for (head, part), group in groupby(every, key=part_key):
        if head in OTHERS:
            result.extend((head, part, each) for each in group)
        else:
            result.append((head, part, b"".join(map(text_of, group))))
    return result


class Provider(httpx2.AsyncByteStream):
    """Sends parts at once or with pauses, then fails, falls silent or ends."""

    def __init__(
        self, parts: Sequence[bytes], then: Exception | None = None, *, pause: float = 0, is_silent: bool = False
    ) -> None:
        self._parts = parts
        self._then = then
        self._pause = pause
        self._is_silent = is_silent
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
            if self._pause:
                await asyncio.sleep(self._pause)
        if self._is_silent:
            await asyncio.Event().wait()
        if self._then:
            raise self._then

    async def aclose(self) -> None:
        self.is_closed = True


@given(events)
def test_merged_events_say_what_they_said_apart(apart: list[bytes]) -> None:
    together = merge(b"".join(apart))
    assert contents_of(together) == contents_of(b"".join(apart))


@pytest.mark.parametrize("say", [text, part_text])
def test_texts_in_a_row_become_one(say: Callable[[str], bytes]) -> None:
    assert merge(say("Twenty-") + say("four ") + say("months")).count(b"data: ") == 1


def test_texts_of_different_parts_stay_apart() -> None:
    both = part_text("Hi", 0) + part_text("Ho", 1)
    assert contents_of(merge(both)) == contents_of(both)


def test_halves_of_a_character_that_was_cut_in_two_come_together() -> None:
    halves = [
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}',
        b'data: {"choices": [{"delta": {"content": "\\ude00"}}]}',
    ]
    together = merge(b"".join(half + b"\n\n" for half in halves))
    assert json.loads(together.removeprefix(b"data: "))["choices"][0]["delta"]["content"] == "😀"


@pytest.mark.parametrize("alone", [text("Hi"), b"data: {}\r\n\r\ndata: {}\r\n\r\n"])
def test_single_events_and_other_line_endings_pass_unchanged(alone: bytes) -> None:
    assert merge(alone) is alone


@given(events, st.integers(min_value=1, max_value=300))
def test_however_a_stream_is_cut_it_says_the_same(apart: list[bytes], size: int) -> None:
    whole = b"".join(apart)
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]

    async def read() -> bytes:
        return b"".join([each async for each in MergedEvents(Provider(parts))])

    assert contents_of(asyncio.run(read())) == contents_of(whole)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_lines_that_end_otherwise_are_passed_on_as_they_come(size: int) -> None:
    whole = (text("Hi") + text("Ho")).replace(b"\n", b"\r\n")
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    merged, arrived = aiter(MergedEvents(Provider(parts, is_silent=True))), b""
    async with asyncio.timeout(5):
        while arrived != whole:
            arrived += await anext(merged)


async def test_a_failure_comes_after_what_came_before_it() -> None:
    merged = aiter(MergedEvents(Provider([text("Hi"), b"data: {"], httpx2.ReadError("cut"))))
    assert await anext(merged) == text("Hi")
    with pytest.raises(httpx2.ReadError):
        await anext(merged)


@pytest.mark.parametrize(("busy", "most"), [(0, 10), (math.inf, 20)])
async def test_a_busy_process_reads_more_at_once(monkeypatch: pytest.MonkeyPatch, busy: float, most: int) -> None:
    monkeypatch.setattr(event_merging, "BUSY", busy)
    monkeypatch.setattr(event_merging, "TURNS", math.inf)
    chunks = [text("24 ")] * 20
    read = [each async for each in MergedEvents(Provider(chunks, pause=1e-3))]
    assert most - 10 < len(read) <= most
    assert contents_of(b"".join(read)) == contents_of(b"".join(chunks))


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
