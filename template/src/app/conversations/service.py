"""The use cases of conversations; for sending messages, see `turns`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.auth.caller import Caller, Scope
from app.chat.service import ChatService
from app.conversations import repository
from app.conversations.models import Conversation, ConversationMessage
from app.database import Database
from app.errors import NotFoundError
from app.pages import PageRequest
from app.prompts.service import PromptChoice, PromptService


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation to create.

    Attributes:
        prompt: stored prompt that is filled in once and replaces `system`.
    """

    title: str | None
    system: str | None
    model: str
    prompt: PromptChoice | None = None


@dataclass(frozen=True, slots=True)
class ConversationService:
    """Creates, lists, changes and deletes conversations."""

    database: Database
    chat: ChatService
    prompts: PromptService

    async def create(self, new: NewConversation, *, idempotency_key: str | None = None, caller: Caller) -> Conversation:
        """Create a conversation; a repeated idempotency key returns the first one.

        Raises:
            ModelNotFoundError: there is no such model.
            CallerError: the prompt cannot be used.
        """
        caller.require(Scope.CHAT)
        self.chat.find_model(new.model)
        row: dict[str, Any] = {"owner_id": caller.id, "title": new.title, "system": new.system, "model": new.model}
        if new.prompt is not None:
            prompt = await self.prompts.fill(new.prompt, caller=caller)
            row |= {"system": prompt.text, "prompt_name": prompt.name, "prompt_version": prompt.version}
        async with self.database.transaction() as session:
            added = await repository.add(session, row | {"idempotency_key": idempotency_key})
            if added is None and idempotency_key is not None:
                added = await repository.find_by_idempotency_key(session, caller.id, idempotency_key)
        return found(added)

    async def get(self, conversation_id: UUID, *, caller: Caller) -> Conversation:
        """Return a conversation.

        Raises:
            NotFoundError: the caller has no such conversation.
        """
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            return found(await repository.find(session, caller.id, conversation_id))

    async def list_for(self, page: PageRequest, *, caller: Caller) -> tuple[list[Conversation], str | None]:
        """List the caller's conversations, newest first."""
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            return await repository.list_for(session, caller.id, page)

    async def rename(self, conversation_id: UUID, title: str | None, *, caller: Caller) -> Conversation:
        """Change a conversation's title; None removes it.

        Raises:
            NotFoundError: the caller has no such conversation.
        """
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            return found(await repository.change(session, caller.id, conversation_id, title=title))

    async def delete(self, conversation_id: UUID, *, caller: Caller) -> None:
        """Delete a conversation with its messages; an answer in progress is discarded.

        Raises:
            NotFoundError: the caller has no such conversation.
        """
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            if not await repository.remove(session, caller.id, conversation_id):
                raise NotFoundError("There is no such conversation.")

    async def list_messages(
        self, conversation_id: UUID, page: PageRequest, *, caller: Caller
    ) -> tuple[list[ConversationMessage], str | None]:
        """List the messages, newest first.

        Raises:
            NotFoundError: the caller has no such conversation.
        """
        caller.require(Scope.CHAT)
        async with self.database.transaction() as session:
            conversation = found(await repository.find(session, caller.id, conversation_id))
            return await repository.list_messages(session, conversation.id, page)


def found(conversation: Conversation | None) -> Conversation:
    """Return the conversation.

    Raises:
        NotFoundError: it is None.
    """
    if conversation is None:
        raise NotFoundError("There is no such conversation.")
    return conversation
