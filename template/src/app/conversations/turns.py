"""Turns: what the user says, and what a model answers, one at a time in each conversation."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller, Scope
from app.cancellation import finish
from app.chat.ports import Finished, Message, ModelRequest, TextDelta
from app.chat.service import ChatService
from app.conversations import repository
from app.conversations.context import fit_context
from app.conversations.models import Conversation, ConversationMessage
from app.conversations.service import found
from app.conversations.settings import ConversationsSettings
from app.conversations.writing import CANCELLED, CUT_SHORT, FAILED, REFUSED, Done, Turn, TurnEvent, Writing
from app.database import Database
from app.errors import CallerError, ConflictError, GuardrailRefusedError, NotFoundError, UpstreamFailedError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TurnService:
    """Has a language model take its turns."""

    database: Database
    chat: ChatService
    settings: ConversationsSettings

    async def begin(
        self, conversation_id: UUID, content: str, *, idempotency_key: str | None = None, caller: Caller
    ) -> Turn:
        """Store the user's message and take the conversation until it is answered.

        A repeated idempotency key gives the turn with its answer. If there is none, or it was cut short, the message is
        answered anew, unless the conversation has gone on.

        Raises:
            NotFoundError: the caller has no such conversation.
            ConflictError: another turn is under way, or a repeated message can no longer be answered.
            UnprocessableError: the system prompt and the message are too long together.
        """
        caller.require(Scope.CHAT)
        turn = uuid4()
        async with self.database.transaction() as session:
            conversation = found(await repository.lock(session, caller.id, conversation_id))
            question, answer = await _find_repeated(session, conversation.id, idempotency_key)
            if question is not None and answer is not None and answer.finish_reason not in CUT_SHORT:
                return Turn(conversation, question.id, answer.id, answer=answer)
            if not await repository.begin_turn(session, conversation.id, turn, self.settings.turn_lease):
                raise ConflictError("A turn of this conversation is under way; wait for its end.")
            is_repeated = question is not None
            if question is not None:
                await _check_is_newest(session, question, answer)
            else:
                question = await repository.add_message(
                    session,
                    conversation_id=conversation.id,
                    role="user",
                    content=content,
                    answer_id=turn,
                    idempotency_key=idempotency_key,
                )
            replaces = answer.id if answer else None
            context = await self._context(session, conversation, replaces)
        return Turn(conversation, question.id, turn, context, is_repeated=is_repeated, replaces=replaces)

    async def _context(self, session: AsyncSession, conversation: Conversation, left_out: UUID | None) -> list[Message]:
        most = self.settings.context_messages
        newest = await repository.list_newest(session, conversation.id, most + 1)
        said = [message for message in newest if message.id != left_out][:most]
        return fit_context(conversation.system, said, self.settings.context_tokens)

    async def answer(
        self, turn: Turn, *, max_tokens: int | None = None, temperature: float | None = None, caller: Caller
    ) -> ConversationMessage:
        """Answer in one piece; raises what `stream` raises."""
        events = self.stream(turn, max_tokens=max_tokens, temperature=temperature, caller=caller)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Done):
                    return event.message
        raise UpstreamFailedError("The language model's answer has no end.")

    async def stream(
        self, turn: Turn, *, max_tokens: int | None = None, temperature: float | None = None, caller: Caller
    ) -> AsyncGenerator[TurnEvent, None]:
        """Answer a turn that has begun, piece by piece: some `Token`s, then `Done`. Closing it stops the model.

        However it ends, what was written is stored. A turn that is refused before anything was written is taken back
        with the user's message, unless an earlier request has sent that; and one that fails or is left by then, if it
        was to replace an answer that was cut short, so that this stays.

        Raises:
            CallerError: what is asked for cannot be had.
            UpstreamError: the model failed, perhaps in the middle of the answer.
            ConflictError: the turn took so long that another one began, or the conversation was deleted.
        """
        request = ModelRequest(turn.context, temperature=temperature)
        writing = Writing(turn)
        try:
            events = self.chat.stream(request, model=turn.conversation.model, max_tokens=max_tokens, caller=caller)
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield writing.add(event.text)
                    elif isinstance(event, Finished):
                        writing.end = event
            reason = writing.reason()
        except BaseException as failure:
            await self._give_up(writing, failure)
            raise
        yield Done(await self._finish(writing, reason))

    async def read_answer(self, conversation_id: UUID, message_id: UUID, *, caller: Caller) -> ConversationMessage:
        """Return a stored answer, complete or cut short.

        Raises:
            NotFoundError: the caller has no such conversation, or it has no such answer.
            ConflictError: the answer is still being written.
        """
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            conversation = found(await repository.find(session, caller.id, conversation_id))
            is_under_way = await repository.is_under_way(session, conversation.id, message_id)
            message = await repository.find_message(session, conversation.id, message_id)
        if message is None and is_under_way:
            raise ConflictError("This answer is still being written; come back when it is over.")
        if message is None or message.role != "assistant":
            raise NotFoundError("There is no such answer.")
        return message

    async def _finish(self, writing: Writing, reason: str) -> ConversationMessage:
        message = await finish(self._store(writing, reason))
        if message is None:
            raise ConflictError(
                "Another turn began meanwhile, or the conversation was deleted; the answer is not kept."
            )
        return message

    async def _give_up(self, writing: Writing, failure: BaseException) -> None:
        """Store what there is; a failure to do so is logged and does not hide what came first."""
        is_refused, is_replacing = isinstance(failure, CallerError), writing.turn.replaces is not None
        is_void = not writing.length and (is_refused or is_replacing)
        reason = _why_cut_short(failure)
        try:
            await finish(self._take_back(writing) if is_void else self._store(writing, reason))
        except Exception:
            log.exception("turn.lost", conversation_id=str(writing.turn.conversation.id))

    async def _store(self, writing: Writing, reason: str) -> ConversationMessage | None:
        async with self.database.transaction() as session:
            return await writing.store(session, reason)

    async def _take_back(self, writing: Writing) -> None:
        async with self.database.transaction() as session:
            await writing.take_back(session)


def _why_cut_short(failure: BaseException) -> str:
    match failure:
        case GeneratorExit() | asyncio.CancelledError():
            return CANCELLED
        case GuardrailRefusedError():
            return REFUSED
        case _:
            return FAILED


async def _find_repeated(
    session: AsyncSession, conversation_id: UUID, idempotency_key: str | None
) -> tuple[ConversationMessage | None, ConversationMessage | None]:
    """Find the message that an earlier request with this key sent, and what answers it so far."""
    if idempotency_key is None:
        return None, None
    question = await repository.find_message_by_idempotency_key(session, conversation_id, idempotency_key)
    if question is None or question.answer_id is None:
        return question, None
    return question, await repository.find_message(session, conversation_id, question.answer_id)


async def _check_is_newest(
    session: AsyncSession, question: ConversationMessage, answer: ConversationMessage | None
) -> None:
    """Pass if a message whose answer was lost or cut short can still be answered.

    Raises:
        ConflictError: the conversation has gone on.
    """
    [newest] = await repository.list_newest(session, question.conversation_id, 1)
    if newest.id not in {question.id, answer.id if answer else None}:
        raise ConflictError("This message was not answered, and the conversation has gone on; send it as a new one.")
