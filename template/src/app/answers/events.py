"""Answers as server-sent events: ready bytes, tokens that wait together sent together, no silence without a sign."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import groupby

import structlog
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.answers.schemas import AnswerRead, PassageRead
from app.answers.service import AnswerEvent, Done, Passages, Token
from app.errors import AppError
from app.problems import Problem, problem_of

log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
MOST_WAITING = 256  # events; a reader that falls further behind slows the model down


class PassagesEvent(BaseModel):
    """The data of the event `passages`."""

    items: list[PassageRead]


class TokenEvent(BaseModel):
    """The data of the event `token`."""

    text: str


class EventStream(StreamingResponse):
    """A response of server-sent events whose source is closed as soon as the client is gone."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        super().__init__(frames, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames."""
        async with aclosing(self._frames):
            await super().__call__(scope, receive, send)


async def answer_frames(
    first: AnswerEvent, rest: AsyncGenerator[AnswerEvent, None], keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Write an answer's events as they come; the last frame is `done`, or `error` with the problem."""
    waiting: asyncio.Queue[AnswerEvent | Problem] = asyncio.Queue(MOST_WAITING)
    pump = asyncio.create_task(_pump(rest, waiting))
    try:
        yield render([first])
        batch: list[AnswerEvent | Problem] = []
        while not batch or not isinstance(batch[-1], Done | Problem):
            try:
                async with asyncio.timeout(keep_alive):
                    batch = [await waiting.get()]
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            yield render(batch)
    finally:
        pump.cancel()
        await asyncio.wait([pump])


def render(batch: Sequence[AnswerEvent | Problem]) -> bytes:
    """Write events that are sent together; tokens in a row become one."""
    return b"".join(frame for kind, group in groupby(batch, key=type) for frame in _frames(kind, list(group)))


async def _pump(events: AsyncGenerator[AnswerEvent, None], waiting: asyncio.Queue[AnswerEvent | Problem]) -> None:
    try:
        async with aclosing(events):
            async for event in events:
                await waiting.put(event)
    except AppError as error:
        log.warning("answer.failed", code=error.code, detail=error.detail)
        await waiting.put(problem_of(error))
    except Exception as error:
        # The status line is long gone: the reader learns it from the stream, the operator from the log.
        log.exception("answer.crashed")
        await waiting.put(problem_of(error))


def _frames(kind: type[AnswerEvent | Problem], group: Sequence[AnswerEvent | Problem]) -> Iterator[bytes]:
    if kind is Token:
        text = "".join(event.text for event in group if isinstance(event, Token))
        yield _frame("token", TokenEvent(text=text))
        return
    for event in group:
        match event:
            case Passages(passages):
                yield _frame("passages", PassagesEvent(items=[PassageRead.model_validate(each) for each in passages]))
            case Done(answer):
                yield _frame("done", AnswerRead.of(answer))
            case Problem():
                yield _frame("error", event)


def _frame(name: str, data: BaseModel) -> bytes:
    """Write one event; JSON holds no raw line break, so one line of data is enough."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data.model_dump_json(exclude_none=name == "error").encode())
