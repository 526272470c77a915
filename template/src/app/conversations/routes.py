"""HTTP routes for conversations."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, status
from fastapi.responses import Response

from app.connection import while_connected
from app.conversations.events import repeated_turn, stored_answer, turn_frames
from app.conversations.models import Conversation
from app.conversations.schemas import (
    ConversationChange,
    ConversationCreate,
    ConversationRead,
    MessageCreate,
    MessageRead,
)
from app.conversations.service import NewConversation
from app.dependencies import CallerDep, PageDep, ServicesDep
from app.event_stream import EventStream, ReadAhead
from app.pages import Page

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

EVENT_STREAM = "text/event-stream"
STREAM_EXAMPLE = """\
event: turn
id: 0
data: {"question_id":"…","answer_id":"…"}

event: token
id: 27
data: {"text":"The warranty lasts 24 months"}

event: done
id: 28
data: {"id":"…","role":"assistant","content":"The warranty lasts 24 months.","finish_reason":"stop",…}
"""
# The schema of an event, as in OpenAPI 3.2, section 4.14.4.
STREAM_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["turn", "token", "done", "error"]},
        "id": {"type": "string", "description": "how many characters of the answer have been sent"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
STREAM = {EVENT_STREAM: {"itemSchema": STREAM_EVENT, "example": STREAM_EXAMPLE}}
TURN_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or with `stream: true` the events `turn`, `token` (many), and at the end `done` "
        "with the stored answer or `error` with a problem.",
        "content": STREAM,
    }
}
REST_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The rest of the answer: `token`, then `done` or `error`.", "content": STREAM}
}

IdempotencyKey = Annotated[
    str | None, Header(max_length=200, description="a repeated request with the same key returns the first result")
]


@router.post("", status_code=status.HTTP_201_CREATED, response_model=ConversationRead)
async def create_conversation(
    body: ConversationCreate, caller: CallerDep, services: ServicesDep, idempotency_key: IdempotencyKey = None
) -> Conversation:
    """Create a conversation."""
    new = NewConversation(body.title, body.system, body.model, body.prompt.as_choice() if body.prompt else None)
    return await services.conversations.create(new, idempotency_key=idempotency_key, caller=caller)


@router.get("")
async def list_conversations(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[ConversationRead]:
    """List the caller's conversations, newest first."""
    conversations, next_cursor = await services.conversations.list_for(page, caller=caller)
    return Page(items=[ConversationRead.model_validate(each) for each in conversations], next_cursor=next_cursor)


@router.get("/{conversation_id}", response_model=ConversationRead)
async def read_conversation(conversation_id: UUID, caller: CallerDep, services: ServicesDep) -> Conversation:
    """Return a conversation."""
    return await services.conversations.get(conversation_id, caller=caller)


@router.patch("/{conversation_id}", response_model=ConversationRead)
async def change_conversation(
    conversation_id: UUID, body: ConversationChange, caller: CallerDep, services: ServicesDep
) -> Conversation:
    """Change a conversation's title; null removes it."""
    if "title" not in body.model_fields_set:
        return await services.conversations.get(conversation_id, caller=caller)
    return await services.conversations.rename(conversation_id, body.title, caller=caller)


@router.delete("/{conversation_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_conversation(conversation_id: UUID, caller: CallerDep, services: ServicesDep) -> None:
    """Delete a conversation with its messages."""
    await services.conversations.delete(conversation_id, caller=caller)


@router.get("/{conversation_id}/messages")
async def list_messages(
    conversation_id: UUID, page: PageDep, caller: CallerDep, services: ServicesDep
) -> Page[MessageRead]:
    """List a conversation's messages, newest first."""
    messages, next_cursor = await services.conversations.list_messages(conversation_id, page, caller=caller)
    return Page(items=[MessageRead.of(message) for message in messages], next_cursor=next_cursor)


@router.post("/{conversation_id}/messages", response_model=MessageRead, responses=TURN_RESPONSE)
async def create_message(  # noqa: PLR0913 - one argument per part of the request
    conversation_id: UUID,
    body: MessageCreate,
    request: Request,
    *,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: IdempotencyKey = None,
) -> MessageRead | Response:
    """Send a message and have it answered in the context of the conversation; only one at a time."""
    turns = services.turns
    turn = await turns.begin(conversation_id, body.content, idempotency_key=idempotency_key, caller=caller)
    if turn.answer is not None:
        return _stream(repeated_turn(turn, turn.answer)) if body.stream else MessageRead.of(turn.answer)
    if not body.stream:
        work = turns.answer(turn, max_tokens=body.max_tokens, temperature=body.temperature, caller=caller)
        return MessageRead.of(await while_connected(request, work))
    events = turns.stream(turn, max_tokens=body.max_tokens, temperature=body.temperature, caller=caller)
    reading = await ReadAhead.begin(events)
    return EventStream(turn_frames(turn, reading), reading)


@router.get("/{conversation_id}/messages/{message_id}/events", response_class=Response, responses=REST_RESPONSE)
async def read_message_events(
    conversation_id: UUID,
    message_id: UUID,
    caller: CallerDep,
    services: ServicesDep,
    last_event_id: Annotated[int, Header(ge=0, description="the last event id received; 0 for the full answer")] = 0,
) -> Response:
    """Return the rest of a stored answer as events, after a lost connection."""
    return _stream(
        stored_answer(await services.turns.read_answer(conversation_id, message_id, caller=caller), last_event_id)
    )


def _stream(frames: bytes) -> Response:
    return Response(frames, media_type=EVENT_STREAM, headers={"Cache-Control": "no-cache"})
