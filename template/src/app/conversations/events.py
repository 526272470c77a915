"""Turns as server-sent events; an event's id is the number of characters of the answer sent so far."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from uuid import UUID

import structlog
from pydantic import BaseModel

from app.conversations.models import ConversationMessage
from app.conversations.schemas import MessageRead
from app.conversations.writing import CANCELLED, FAILED, REFUSED, Done, Token, Turn, TurnEvent
from app.errors import AppError, ConflictError, GuardrailRefusedError, UpstreamFailedError
from app.event_stream import KEEP_ALIVE, KEEP_ALIVE_SECONDS, ReadAhead
from app.problems import Problem, problem_of

log = structlog.get_logger(__name__)

# The errors that end an incomplete stored answer, by its finish reason.
CUT_OFF: Mapping[str | None, AppError] = {
    CANCELLED: ConflictError("The answer was aborted because the client disconnected."),
    FAILED: UpstreamFailedError("The language model failed in the middle of the answer."),
    REFUSED: GuardrailRefusedError("A guardrail refused the rest of this answer."),
}


class TurnBegun(BaseModel):
    """The data of the first event, `turn`: the ids of the two messages."""

    question_id: UUID
    answer_id: UUID


class TokenEvent(BaseModel):
    """The data of the event `token`."""

    text: str


async def turn_frames(
    turn: Turn, reading: ReadAhead[TurnEvent], keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Yield a turn's events as frames; the last one is `done`, or `error` with the problem."""
    async with aclosing(reading.batches(keep_alive)) as batches:
        try:
            yield _begun(turn)
            async for batch in batches:
                yield _render(batch) if batch else KEEP_ALIVE
        except AppError as error:
            log.warning("turn.failed", code=error.code, detail=error.detail)
            yield _error(problem_of(error))
        except Exception as error:
            # The status has been sent: the client learns of it from the stream, operators from the log.
            log.exception("turn.crashed")
            yield _error(problem_of(error))


def repeated_turn(turn: Turn, answer: ConversationMessage) -> bytes:
    """Return the frames of a completed turn."""
    return _begun(turn) + stored_answer(answer, 0)


def stored_answer(answer: ConversationMessage, after: int) -> bytes:
    """Return the frames of a stored answer from character `after` on."""
    rest = answer.content[after:]
    token = _render([Token(rest, len(answer.content))]) if rest else b""
    if answer.finish_reason in CUT_OFF:
        return token + _error(problem_of(CUT_OFF[answer.finish_reason]))
    return token + _render([Done(answer)])


def _render(batch: Sequence[TurnEvent]) -> bytes:
    """Render events as frames; consecutive tokens are merged into one."""
    return b"".join(frame for _, group in groupby(batch, key=type) for frame in _frames(list(group)))


def _frames(group: Sequence[TurnEvent]) -> Iterator[bytes]:
    tokens = [event for event in group if isinstance(event, Token)]
    if tokens:
        text = "".join(token.text for token in tokens)
        yield _frame("token", TokenEvent(text=text), tokens[-1].end)
    for event in group:
        if isinstance(event, Done):
            yield _frame("done", MessageRead.of(event.message), len(event.message.content))


def _begun(turn: Turn) -> bytes:
    return _frame("turn", TurnBegun(question_id=turn.question_id, answer_id=turn.answer_id), 0)


def _error(problem: Problem) -> bytes:
    return b"event: error\ndata: %b\n\n" % problem.model_dump_json(exclude_none=True).encode()


def _frame(name: str, data: BaseModel, position: int) -> bytes:
    """Render one event; JSON contains no raw line breaks, so one line of data is enough."""
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), position, data.model_dump_json().encode())
