"""Turns: a message of the user and the model's answer. A conversation has one turn at a time."""

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
from app.conversations.writing import CANCELLED, CUT_SHORT, FAILED, REFUSED, AnswerDraft, Done, Turn, TurnEvent
from app.database import Database
from app.errors import CallerError, ConflictError, GuardrailRefusedError, NotFoundError, UpstreamFailedError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TurnService:
    """Begins turns, answers them with a language model and stores the answers."""

    database: Database
    chat: ChatService
    settings: ConversationsSettings

    async def begin(
        self, conversation_id: UUID, content: str, *, idempotency_key: str | None = None, caller: Caller
    ) -> Turn:
        """Store the user's message and lock the conversation until it is answered.

        A repeated idempotency key returns the earlier turn with its answer. Without a complete answer, a new turn
        answers the message again, unless the conversation has newer messages.

        Raises:
            NotFoundError: the caller has no such conversation.
            ConflictError: another turn is in progress, or a repeated message can no longer be answered.
            UnprocessableError: the system prompt and the message together exceed the context.
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

    async def _context(self, session: AsyncSession, conversation: Conversation, excluded: UUID | None) -> list[Message]:
        most = self.settings.context_messages
        newest = await repository.list_newest(session, conversation.id, most + 1)
        said = [message for message in newest if message.id != excluded][:most]
        return fit_context(conversation.system, said, self.settings.context_tokens)

    async def answer(
        self, turn: Turn, *, max_tokens: int | None = None, temperature: float | None = None, caller: Caller
    ) -> ConversationMessage:
        """Return the complete answer as it is stored; raise what `stream` raises."""
        events = self.stream(turn, max_tokens=max_tokens, temperature=temperature, caller=caller)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Done):
                    return event.message
        raise UpstreamFailedError("The language model's answer ended without a finish reason.")

    async def stream(
        self, turn: Turn, *, max_tokens: int | None = None, temperature: float | None = None, caller: Caller
    ) -> AsyncGenerator[TurnEvent, None]:
        """Stream the answer of a turn that has begun: `Token`s, then `Done`. Closing the iterator stops the model.

        The answer is stored even if it is incomplete. A turn with an empty answer is undone if the request was
        rejected, or if it was to replace an earlier incomplete answer, which is then kept. Undoing deletes the user's
        message, unless an earlier request stored it.

        Raises:
            CallerError: the request was rejected.
            UpstreamError: the model failed, possibly mid-stream.
            ConflictError: the turn outlived its lease and another one began, or the conversation was deleted.
        """
        request = ModelRequest(turn.context, temperature=temperature)
        draft = AnswerDraft(turn)
        try:
            events = self.chat.stream(request, model=turn.conversation.model, max_tokens=max_tokens, caller=caller)
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield draft.add(event.text)
                    elif isinstance(event, Finished):
                        draft.end = event
            reason = draft.reason()
        except BaseException as failure:
            await self._give_up(draft, failure)
            raise
        yield Done(await self._finish(draft, reason))

    async def read_answer(self, conversation_id: UUID, message_id: UUID, *, caller: Caller) -> ConversationMessage:
        """Return a stored answer, complete or not.

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

    async def _finish(self, draft: AnswerDraft, reason: str) -> ConversationMessage:
        message = await finish(self._store(draft, reason))
        if message is None:
            raise ConflictError(
                "Another turn began meanwhile, or the conversation was deleted; the answer is not kept."
            )
        return message

    async def _give_up(self, draft: AnswerDraft, failure: BaseException) -> None:
        """Store the partial answer or undo the turn; an error in doing so is logged, not raised."""
        is_refused, is_replacing = isinstance(failure, CallerError), draft.turn.replaces is not None
        is_void = not draft.length and (is_refused or is_replacing)
        reason = _finish_reason(failure)
        try:
            await finish(self._undo(draft) if is_void else self._store(draft, reason))
        except Exception:
            log.exception("turn.lost", conversation_id=str(draft.turn.conversation.id))

    async def _store(self, draft: AnswerDraft, reason: str) -> ConversationMessage | None:
        async with self.database.transaction() as session:
            return await draft.store(session, reason)

    async def _undo(self, draft: AnswerDraft) -> None:
        async with self.database.transaction() as session:
            await draft.undo(session)


def _finish_reason(failure: BaseException) -> str:
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
    """Return the message that an earlier request with this key stored, and its answer, if any."""
    if idempotency_key is None:
        return None, None
    question = await repository.find_message_by_idempotency_key(session, conversation_id, idempotency_key)
    if question is None or question.answer_id is None:
        return question, None
    return question, await repository.find_message(session, conversation_id, question.answer_id)


async def _check_is_newest(
    session: AsyncSession, question: ConversationMessage, answer: ConversationMessage | None
) -> None:
    """Check that a message without a complete answer can still be answered.

    Raises:
        ConflictError: the conversation has newer messages.
    """
    [newest] = await repository.list_newest(session, question.conversation_id, 1)
    if newest.id not in {question.id, answer.id if answer else None}:
        raise ConflictError("This message was not answered, and the conversation has gone on; send it as a new one.")
