"""The servers of the chat benchmark, each run as `python chat_servers.py NAME PORT`.

`provider` speaks OpenAI's protocol on bare sockets and sends a token as soon as the one before it is taken; a model
called `paced-N` waits N milliseconds before each. `bare` is a FastAPI endpoint with FastAPI's own event stream of the
same tokens, and `bytes` one with a `StreamingResponse` of ready bytes: the same generator without anything between.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel
from starlette.responses import StreamingResponse

TOKENS = 200
TEXTS = [f"token{number} " for number in range(TOKENS)]


def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    """Make a chunk as OpenAI sends it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def event(data: object) -> bytes:
    """Make an event of it."""
    return b"data: %b\n\n" % json.dumps(data, separators=(",", ":")).encode()


USAGE = {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": TOKENS + 9}
OPENING = event(chunk({"role": "assistant", "content": ""}))
ENDING = event(chunk({}, "stop")) + event({**chunk({}), "choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"
READY = [event(chunk({"content": text})) for text in TEXTS]


async def tokens(model: str) -> AsyncIterator[int]:
    """Yield the number of each token when it is there; others have their turn in between."""
    pause = int(model.removeprefix("paced-")) / 1000 if model.startswith("paced-") else 0
    for number in range(TOKENS):
        await asyncio.sleep(pause)
        yield number


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the provider on one connection until it is closed."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            model = json.loads(await reader.readexactly(length))["model"]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(_part(OPENING))
            async for number in tokens(model):
                writer.write(_part(READY[number]))
                await writer.drain()
            writer.write(_part(ENDING) + b"0\r\n\r\n")
            await writer.drain()
    writer.close()


def _part(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve_provider(port: int) -> None:
    """Be the provider until the process is stopped."""
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Delta(BaseModel):
    """What is new."""

    role: str | None = None
    content: str | None = None


class Choice(BaseModel):
    """An answer; there is one."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: str | None = None


class Chunk(BaseModel):
    """A chunk, in pydantic's terms."""

    id: str = "chatcmpl-1"
    object: str = "chat.completion.chunk"
    created: int = 1
    model: str = "m"
    choices: list[Choice]


def make_bare() -> FastAPI:
    """Make the endpoints that have the tokens at hand."""
    app = FastAPI()

    async def bare(body: dict[str, Any]) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data=Chunk(choices=[Choice(delta=Delta(role="assistant", content=""))]))
        async for number in tokens(body["model"]):
            yield ServerSentEvent(data=Chunk(choices=[Choice(delta=Delta(content=TEXTS[number]))]))
        yield ServerSentEvent(data=Chunk(choices=[Choice(delta=Delta(), finish_reason="stop")]))
        yield ServerSentEvent(raw_data="[DONE]")

    async def ready(body: dict[str, Any]) -> StreamingResponse:
        async def frames() -> AsyncIterator[bytes]:
            yield OPENING
            async for number in tokens(body["model"]):
                yield READY[number]
            yield ENDING

        return StreamingResponse(frames(), media_type="text/event-stream")

    app.add_api_route("/bare/chat/completions", bare, methods=["POST"], response_class=EventSourceResponse)
    app.add_api_route("/bytes/chat/completions", ready, methods=["POST"])
    return app


def main() -> None:
    """Serve until SIGTERM."""
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "provider":
        uvloop.run(serve_provider(port))
    else:
        uvicorn.run(make_bare(), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
