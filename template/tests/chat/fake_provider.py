"""A loopback server that speaks the OpenAI and Anthropic wire protocols and misbehaves on demand.

The model name selects the behaviour: `steady` answers normally; `status-N` refuses with HTTP status N and echoes the
key and the question, and `status-N-after-S` also sends `retry-after: S`; `recovers` refuses with 500 once, then
answers; `mute` accepts and sends nothing; `stalls` falls silent after two words; `cuts` breaks the connection after two
words; `garbled` sends invalid JSON after two words; `breaks` sends an error event after two words; `unfinished` ends
the stream cleanly but without a finish reason; `early-cuts`, `early-garbled` and `early-unfinished` do the same before
the first word; `limited` and `filtered` finish for those reasons; `slow` writes nothing until the test sets `go`, and
`pauses` holds back only its last word; `thinking` and `thinking-pauses` reason first; `cached` reports cached input
tokens; `calls` calls two functions, the second without arguments. A test can set `answer` to choose the text.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

WORDS = ("Twenty-four ", "months ", "[1].")
INPUT_TOKENS = 11
OUTPUT_TOKENS = 7
CACHED_TOKENS = 4
CALLS = (("call_1", "get_weather", '{"city": "Oslo"}'), ("call_2", "get_time", ""))
# For models that fall silent; long enough for a call to arrive on a machine that stalls for a while.
PATIENCE = {"mute": {"first_token_timeout": 5.0}, "stalls": {"idle_timeout": 2.0}}
PROVIDER_SAYS, REASONING = "words of the provider", "Let me think."


@dataclass
class Call:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class FakeProvider:
    """The test's handle on the server.

    Attributes:
        answer: returns the answer to a call, or the HTTP status to refuse it with.
    """

    url: str
    answer: Callable[[Call], str | int] | None = None
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve_fake_provider() -> AsyncIterator[FakeProvider]:
    """Run the server on a free port while the block runs."""
    provider = FakeProvider("")
    open_connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        provider.connections += 1
        open_connections.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await _serve_one(provider, reader, writer):
                pass
        open_connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    provider.url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        for writer in list(open_connections):
            writer.close()
        server.close()
        await server.wait_closed()


async def _serve_one(provider: FakeProvider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request; return whether the connection can carry another."""
    call = await _read_call(reader)
    provider.calls.append(call)
    provider.called.set()
    model = str(call.body["model"])
    answer = provider.answer(call) if provider.answer else None
    words = (answer,) if isinstance(answer, str) else WORDS
    refusal = f"status-{answer}" if isinstance(answer, int) else model
    if model == "recovers" and len(provider.calls) == 1:
        refusal = "status-500"
    if refusal.startswith("status-"):
        _write_refusal(writer, call, refusal)
        await writer.drain()
        return True
    if model == "slow":
        await provider.go.wait()
    if model != "mute":
        await _write_stream(provider, writer, call, words)
    if model in {"mute", "stalls"}:
        await reader.read()
        provider.client_left.set()
        return False
    if model.endswith("cuts"):
        writer.transport.abort()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _read_call(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Call(head[0].split(" ")[1], headers, json.loads(body))


def _write_refusal(writer: asyncio.StreamWriter, call: Call, model: str) -> None:
    said, _, pause = model.removeprefix("status-").partition("-after-")
    status, wait = int(said), f"retry-after: {pause}\r\n" if pause else ""
    kind = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
    key = call.headers.get("authorization") or call.headers.get("x-api-key")
    echo = f"{PROVIDER_SAYS}: {key} is not welcome with {call.body['messages']}"
    error = {"type": kind.get(status, "api_error"), "code": echo, "message": echo}
    body = json.dumps({"type": "error", "error": error}).encode()
    head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n{wait}content-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _write_stream(provider: FakeProvider, writer: asyncio.StreamWriter, call: Call, words: Sequence[str]) -> None:
    model = str(call.body["model"])
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    write = _anthropic_events if call.path.startswith("/v1/messages") else _openai_events
    events = write(model, words)
    for event in _before_the_first_word(events, model) if model.startswith("early-") else events:
        if model.endswith("pauses") and json.dumps(words[-1]) in event:
            await provider.go.wait()
        data = event.encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()


def _before_the_first_word(events: Iterator[str], model: str) -> Iterator[str]:
    yield next(events)
    if model == "early-garbled":
        yield 'event: content_block_delta\ndata: {"type": \n\n'


def _openai_events(model: str, words: Sequence[str]) -> Iterator[str]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        return _openai_chunk(model, choices=[{"index": 0, "delta": delta, "finish_reason": finish}])

    yield chunk({"role": "assistant", "content": ""})
    if model.startswith("thinking"):
        yield chunk({"reasoning_content": REASONING})
    for delta in _openai_calls() if model == "calls" else ():
        yield chunk({"tool_calls": [delta]})
    for number, word in enumerate(() if model == "calls" else words):
        if number == 2 and model in {"stalls", "cuts"}:
            return
        if number == 2 and model == "garbled":
            yield 'data: {"choices": [\n\n'
        if number == 2 and model == "breaks":
            yield f"data: {json.dumps({'error': {'message': PROVIDER_SAYS, 'type': 'server_error'}})}\n\n"
            return
        yield chunk({"content": word})
    if model != "unfinished":
        finish = {"limited": "length", "filtered": "content_filter", "calls": "tool_calls"}.get(model, "stop")
        yield chunk({}, finish)
    total = INPUT_TOKENS + OUTPUT_TOKENS
    usage: dict[str, Any] = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total}
    if model == "cached":
        usage["prompt_tokens_details"] = {"cached_tokens": CACHED_TOKENS}
    yield _openai_chunk(model, choices=[], usage=usage)
    yield "data: [DONE]\n\n"


def _openai_calls() -> Iterator[dict[str, Any]]:
    for index, (call_id, name, arguments) in enumerate(CALLS):
        yield {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        for piece in (arguments[:9], arguments[9:]):
            yield {"index": index, "function": {"arguments": piece}}


def _openai_chunk(model: str, **content: object) -> str:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, **content}
    return f"data: {json.dumps(chunk)}\n\n"


def _anthropic_events(model: str, words: Sequence[str]) -> Iterator[str]:
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": 1}
    if model == "cached":
        usage |= {"input_tokens": INPUT_TOKENS - CACHED_TOKENS, "cache_read_input_tokens": CACHED_TOKENS}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    yield _anthropic_event("message_start", message={**message, "stop_reason": None, "stop_sequence": None})
    yield _anthropic_event("ping")
    text = 0
    if model.startswith("thinking"):
        text = 1
        yield _anthropic_event("content_block_start", index=0, content_block=_THINKING)
        delta = {"type": "thinking_delta", "thinking": REASONING}
        yield _anthropic_event("content_block_delta", index=0, delta=delta)
        yield _anthropic_event("content_block_stop", index=0)
    if model == "calls":
        yield from _anthropic_calls()
    else:
        yield from _anthropic_text(model, text, words)
        if model in {"stalls", "cuts", "breaks"}:
            return
    if model != "unfinished":
        stop = {"limited": "max_tokens", "filtered": "refusal", "calls": "tool_use"}.get(model, "end_turn")
        ending = {"stop_reason": stop, "stop_sequence": None}
        yield _anthropic_event("message_delta", delta=ending, usage={"output_tokens": OUTPUT_TOKENS})
        yield _anthropic_event("message_stop")


def _anthropic_text(model: str, text: int, words: Sequence[str]) -> Iterator[str]:
    yield _anthropic_event("content_block_start", index=text, content_block={"type": "text", "text": ""})
    for number, word in enumerate(words):
        if number == 2 and model in {"stalls", "cuts"}:
            return
        if number == 2 and model == "garbled":
            yield 'event: content_block_delta\ndata: {"type": \n\n'
        if number == 2 and model == "breaks":
            yield _anthropic_event("error", error={"type": "overloaded_error", "message": PROVIDER_SAYS})
            return
        delta = {"type": "text_delta", "text": word}
        yield _anthropic_event("content_block_delta", index=text, delta=delta)
    yield _anthropic_event("content_block_stop", index=text)


def _anthropic_calls() -> Iterator[str]:
    for index, (call_id, name, arguments) in enumerate(CALLS):
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        yield _anthropic_event("content_block_start", index=index, content_block=block)
        for piece in (arguments[:9], arguments[9:]):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield _anthropic_event("content_block_delta", index=index, delta=delta)
        yield _anthropic_event("content_block_stop", index=index)


_THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def _anthropic_event(kind: str, **content: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n"
