"""Tests of malformed and unusual provider responses: a clear error, a fallback, or text that can be forwarded."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.adapters.language_model import LanguageModelSettings, open_language_models
from app.adapters.provider_limiter import LocalProviderLimiter
from app.adapters.surrogates import SurrogateJoiner
from app.chat.metering import metered
from app.chat.ports import Finished, LanguageModel, Message, ModelRequest, TextDelta, ToolCallDelta
from app.errors import RequestRefusedError, UpstreamFailedError
from tests.answers.fakes import FakeUsage, caller

REQUEST = ModelRequest([Message("user", "The sky is blue. Which colour is the sky?")])
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
REFUSAL = b"HTTP/1.1 400 No\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


def chunk(delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"id": "1", "created": 1, "model": "m", "choices": [choice], **more}).encode()


END = chunk({}, "stop") + b"data: [DONE]\n\n"


@asynccontextmanager
async def answering(answer: bytes, *fallbacks: str) -> AsyncIterator[LanguageModel]:
    """Open a model whose server answers every request with these bytes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        chain = ", ".join(("openai:m", *fallbacks))
        settings = LanguageModelSettings.model_validate(
            {"provider": "openai", "model": "m", "base_url": url, "aliases": {"default": chain}}
        )
        breaker = LocalCircuitBreaker(CircuitBreakerSettings())
        async with open_language_models(settings, breaker, LocalProviderLimiter()) as models:
            yield models["default"]


@pytest.mark.parametrize(
    "data",
    [b"null", b"[]", b"[" * 200_000, b'{"id": "1", "created": "now", "model": "m", "choices": []}'],
    ids=["null", "list", "deep", "time"],
)
async def test_what_cannot_be_read_is_a_failure_and_the_next_model_answers(data: bytes) -> None:
    answer = STREAM + b"data: " + data + b"\n\n" + END
    with capture_logs() as logs:
        async with answering(answer) as model:
            with pytest.raises(UpstreamFailedError):
                assert [event async for event in model.stream(REQUEST)]
    assert "language_model.failed" in [entry["event"] for entry in logs]
    async with answering(answer, "offline:extractive") as model:
        *_, end = [event async for event in model.stream(REQUEST)]
    assert isinstance(end, Finished)
    assert end.model == "offline:extractive"


async def test_a_number_where_others_write_a_word_is_no_reason_to_crash() -> None:
    async with answering(REFUSAL + b'{"error": {"message": "no", "type": 5, "code": 400}}') as model:
        with pytest.raises(RequestRefusedError):
            assert [event async for event in model.stream(REQUEST)]


async def test_tokens_that_a_server_does_not_count_are_estimated() -> None:
    usage = FakeUsage()
    async with (
        answering(STREAM + chunk({"content": "It is blue."}) + END) as model,
        metered(model, REQUEST, endpoint="test", caller=caller(), usage=usage) as events,
    ):
        assert [event async for event in events]
    [measured] = usage.measurements
    assert (measured.finish_reason, measured.estimated) == ("stop", True)
    assert (measured.input_tokens, measured.output_tokens) == (11, 3)


async def test_calls_whose_arguments_come_in_turns_are_whole() -> None:
    names = [
        {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": ""}}
        for number in range(3)
    ]
    pieces = [(0, '{"x"'), (2, '{"y"'), (0, ":1}"), (2, ":2}")]
    arguments = [{"index": number, "function": {"arguments": piece}} for number, piece in pieces]
    answer = b"".join(chunk({"tool_calls": [call]}) for call in [*names, *arguments])
    async with answering(STREAM + answer + chunk({}, "tool_calls")) as model:
        calls = [event async for event in model.stream(REQUEST) if isinstance(event, ToolCallDelta)]
    whole = ["".join(call.arguments for call in calls if call.index == number) for number in range(3)]
    assert whole == ['{"x":1}', "{}", '{"y":2}']


async def test_halves_of_a_character_are_joined_or_replaced_wherever_they_stand() -> None:
    function = {"name": "f\ud83d", "arguments": '{"a": "\ud83d'}
    call = {"index": 0, "id": "\ud83d", "type": "function", "function": function}
    rest = {"index": 0, "function": {"arguments": '\ude00"}'}}
    written: list[dict[str, Any]] = [
        {"content": "<\ud83d"},
        {"content": "\ude00> \ud83d"},
        {"tool_calls": [call]},
        {"tool_calls": [rest]},
    ]
    answer = b"".join(chunk(delta, model="m\udfff") for delta in written)
    async with answering(STREAM + answer + chunk({}, "tool_calls", model="m\udfff")) as model:
        events = [event async for event in model.stream(REQUEST)]
    end = events[-1]
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "<😀> \ufffd"
    assert "".join(event.arguments for event in calls) == '{"a": "😀"}'
    assert (calls[0].id, calls[0].name) == ("\ufffd", "f\ufffd")
    assert isinstance(end, Finished)
    assert end.model == "openai:m\ufffd"


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["\ud83d", "", "\ude00"], ["", "", "😀"]),
        (["a\ud83d", "b"], ["a", "\ufffdb"]),
        (["\ud83d\n"], ["\ufffd\n"]),
        (["\ude00", "\ud83d\ude00"], ["\ufffd", "😀"]),
        (["a\ud83d"], ["a", "\ufffd"]),
        (["naïve 东京 😀"], ["naïve 东京 😀"]),
    ],
)
def test_a_half_waits_for_what_comes_next(pieces: Sequence[str], whole: Sequence[str]) -> None:
    joiner = SurrogateJoiner()
    joined = [each for piece in pieces for each in joiner.join(TextDelta(piece))]
    assert [*joined, *joiner.end()] == [TextDelta(text) for text in whole]
