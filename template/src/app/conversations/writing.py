"""A turn and its answer while it is being written, and how the answer is stored."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.ports import Finished, Message
from app.conversations import repository
from app.conversations.models import Conversation, ConversationMessage
from app.errors import UpstreamFailedError

CANCELLED = "cancelled"
FAILED = "failed"
REFUSED = "refused"
CUT_SHORT = (CANCELLED, FAILED, REFUSED)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that has begun, or that an earlier request with the same idempotency key completed.

    Attributes:
        question_id: id of the user's message.
        answer_id: id of the answer, which may not be stored yet.
        context: the messages for the model.
        answer: the complete answer, if there is one already.
        is_repeated: whether an earlier request stored the user's message.
        replaces: id of that request's incomplete answer, which is kept until the new one is stored.
    """

    conversation: Conversation
    question_id: UUID
    answer_id: UUID
    context: list[Message] = field(default_factory=list)
    answer: ConversationMessage | None = None
    is_repeated: bool = False
    replaces: UUID | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer; `end` is the length of the answer so far, in characters."""

    text: str
    end: int


@dataclass(frozen=True, slots=True)
class Done:
    """The last event: the stored answer."""

    message: ConversationMessage


TurnEvent = Token | Done


@dataclass(slots=True)
class AnswerDraft:
    """An answer while it is being written."""

    turn: Turn
    end: Finished | None = None
    pieces: list[str] = field(default_factory=list)
    length: int = 0

    def add(self, text: str) -> Token:
        """Append the next piece, without NUL characters, which the database cannot store."""
        piece = text.replace("\0", "")
        self.pieces.append(piece)
        self.length += len(piece)
        return Token(piece, self.length)

    def reason(self) -> str:
        """Return the model's finish reason.

        Raises:
            UpstreamFailedError: the stream ended without one.
        """
        if self.end is None:
            raise UpstreamFailedError("The language model's answer ended without a finish reason.")
        return self.end.reason

    async def store(self, session: AsyncSession, finish_reason: str) -> ConversationMessage | None:
        """Store the answer so far and end the turn; None if the turn no longer holds the conversation."""
        turn, end = self.turn, self.end
        if not await repository.end_turn(session, turn.conversation.id, turn.answer_id):
            return None
        if turn.replaces is not None:
            await repository.remove_message(session, turn.replaces)
        if turn.is_repeated:
            await repository.expect_answer(session, turn.question_id, turn.answer_id)
        return await repository.add_message(
            session,
            id=turn.answer_id,
            conversation_id=turn.conversation.id,
            role="assistant",
            content="".join(self.pieces),
            model=end.model if end else None,
            finish_reason=finish_reason,
            input_tokens=end.usage.input_tokens if end else None,
            output_tokens=end.usage.output_tokens if end else None,
            prompt_name=turn.conversation.prompt_name,
            prompt_version=turn.conversation.prompt_version,
        )

    async def undo(self, session: AsyncSession) -> None:
        """End the turn, and delete the user's message if this turn stored it."""
        has_ended = await repository.end_turn(session, self.turn.conversation.id, self.turn.answer_id)
        if has_ended and not self.turn.is_repeated:
            await repository.remove_message(session, self.turn.question_id)
