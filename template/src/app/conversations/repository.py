"""SQL for conversations and their messages. Functions without `owner_id` rely on the caller's check of the owner."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.conversations.models import Conversation, ConversationMessage
from app.pages import PageRequest, read_page


async def add(session: AsyncSession, conversation: dict[str, Any]) -> Conversation | None:
    """Insert a conversation; None if its idempotency key was used before."""
    statement = postgresql.insert(Conversation).values(conversation).on_conflict_do_nothing().returning(Conversation)
    added: Conversation | None = await session.scalar(statement)
    return added


async def find(session: AsyncSession, owner_id: UUID, conversation_id: UUID) -> Conversation | None:
    """Find a conversation of this owner."""
    statement = select(Conversation).where(Conversation.owner_id == owner_id, Conversation.id == conversation_id)
    return await session.scalar(statement)


async def find_by_idempotency_key(session: AsyncSession, owner_id: UUID, key: str) -> Conversation | None:
    """Find the conversation that was created with this key."""
    statement = select(Conversation).where(Conversation.owner_id == owner_id, Conversation.idempotency_key == key)
    return await session.scalar(statement)


async def lock(session: AsyncSession, owner_id: UUID, conversation_id: UUID) -> Conversation | None:
    """Find a conversation of this owner, and lock it until this transaction ends."""
    statement = select(Conversation).where(Conversation.owner_id == owner_id, Conversation.id == conversation_id)
    return await session.scalar(statement.with_for_update(key_share=True))


async def list_for(session: AsyncSession, owner_id: UUID, page: PageRequest) -> tuple[list[Conversation], str | None]:
    """List an owner's conversations, newest first."""
    return await read_page(session, select(Conversation).where(Conversation.owner_id == owner_id), Conversation, page)


async def change(
    session: AsyncSession, owner_id: UUID, conversation_id: UUID, *, title: str | None
) -> Conversation | None:
    """Change a conversation's title; None if the owner has no such conversation."""
    statement = update(Conversation).where(Conversation.owner_id == owner_id, Conversation.id == conversation_id)
    changed: Conversation | None = await session.scalar(statement.values(title=title).returning(Conversation))
    return changed


async def remove(session: AsyncSession, owner_id: UUID, conversation_id: UUID) -> bool:
    """Delete a conversation with its messages; return whether it existed."""
    statement = delete(Conversation).where(Conversation.owner_id == owner_id, Conversation.id == conversation_id)
    return await session.scalar(statement.returning(Conversation.id)) is not None


async def begin_turn(session: AsyncSession, conversation_id: UUID, turn: UUID, seconds: float) -> bool:
    """Reserve a conversation for a turn for so many seconds; return False if another turn holds it."""
    free = or_(Conversation.turn_until.is_(None), Conversation.turn_until < func.now())
    statement = update(Conversation).where(Conversation.id == conversation_id, free)
    taken = statement.values(turn=turn, turn_until=func.now() + timedelta(seconds=seconds))
    return await session.scalar(taken.returning(Conversation.id)) is not None


async def end_turn(session: AsyncSession, conversation_id: UUID, turn: UUID) -> bool:
    """Release a conversation; return False if the turn no longer held it."""
    statement = update(Conversation).where(Conversation.id == conversation_id, Conversation.turn == turn)
    ended = statement.values(turn=None, turn_until=None).returning(Conversation.id)
    return await session.scalar(ended) is not None


async def is_under_way(session: AsyncSession, conversation_id: UUID, turn: UUID) -> bool:
    """Return whether this turn holds the conversation."""
    statement = select(Conversation.id).where(Conversation.id == conversation_id, Conversation.turn == turn)
    return await session.scalar(statement.where(Conversation.turn_until >= func.now())) is not None


async def add_message(session: AsyncSession, **values: Any) -> ConversationMessage:  # noqa: ANN401 - column values
    """Append a message to a conversation that this transaction has locked or changed."""
    # `now()` is when the transaction began, possibly before the last message.
    message = ConversationMessage(**values, created_at=func.clock_timestamp())
    session.add(message)
    await session.flush()
    await session.refresh(message)
    return message


async def find_message(session: AsyncSession, conversation_id: UUID, message_id: UUID) -> ConversationMessage | None:
    """Find a message of a conversation."""
    return await session.scalar(_messages(conversation_id).where(ConversationMessage.id == message_id))


async def find_message_by_idempotency_key(
    session: AsyncSession, conversation_id: UUID, key: str
) -> ConversationMessage | None:
    """Find the user's message that was sent with this key."""
    return await session.scalar(_messages(conversation_id).where(ConversationMessage.idempotency_key == key))


async def list_messages(
    session: AsyncSession, conversation_id: UUID, page: PageRequest
) -> tuple[list[ConversationMessage], str | None]:
    """List a conversation's messages, newest first."""
    return await read_page(session, _messages(conversation_id), ConversationMessage, page)


async def list_newest(session: AsyncSession, conversation_id: UUID, limit: int) -> list[ConversationMessage]:
    """Return the `limit` newest messages of a conversation, newest first."""
    messages, _ = await list_messages(session, conversation_id, PageRequest(limit))
    return messages


async def remove_message(session: AsyncSession, message_id: UUID) -> None:
    """Delete a message."""
    await session.execute(delete(ConversationMessage).where(ConversationMessage.id == message_id))


async def expect_answer(session: AsyncSession, message_id: UUID, answer_id: UUID) -> None:
    """Record the id of the message that answers this one."""
    statement = update(ConversationMessage).where(ConversationMessage.id == message_id)
    await session.execute(statement.values(answer_id=answer_id))


def _messages(conversation_id: UUID) -> Select[ConversationMessage]:
    return select(ConversationMessage).where(ConversationMessage.conversation_id == conversation_id)
