"""Answers as server-sent events, with queued tokens merged and keep-alives during silence."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import groupby

import structlog
from pydantic import BaseModel

from app.answers.schemas import AnswerRead, PassageRead
from app.answers.service import AnswerEvent, Done, Passages, Token
from app.errors import AppError
from app.event_stream import KEEP_ALIVE, KEEP_ALIVE_SECONDS, ReadAhead
from app.problems import Problem, problem_of

log = structlog.get_logger(__name__)


class PassagesEvent(BaseModel):
    """The data of the event `passages`."""

    items: list[PassageRead]


class TokenEvent(BaseModel):
    """The data of the event `token`."""

    text: str


async def answer_frames(
    first: AnswerEvent, rest: ReadAhead[AnswerEvent], keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Yield an answer's events as frames; the last one is `done`, or `error` with the problem."""
    async with aclosing(rest.batches(keep_alive)) as batches:
        try:
            yield render([first])
            async for batch in batches:
                yield render(batch) if batch else KEEP_ALIVE
        except AppError as error:
            log.warning("answer.failed", code=error.code, detail=error.detail)
            yield render([problem_of(error)])
        except Exception as error:
            # The status has been sent: the client learns of it from the stream, operators from the log.
            log.exception("answer.crashed")
            yield render([problem_of(error)])


def render(batch: Sequence[AnswerEvent | Problem]) -> bytes:
    """Render events as frames; consecutive tokens are merged into one."""
    return b"".join(frame for kind, group in groupby(batch, key=type) for frame in _frames(kind, list(group)))


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
    """Render one event; JSON contains no raw line breaks, so one line of data is enough."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data.model_dump_json(exclude_none=name == "error").encode())
