"""Conversations on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.conversations.models import ConversationMessage
from app.payloads import Payload
from app.prompts.schemas import PromptUse

LONGEST_SYSTEM = 16_000
LONGEST_CONTENT = 32_000

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
System = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SYSTEM, pattern=r"\S")]
Content = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_CONTENT, pattern=r"\S")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ConversationCreate(Payload):
    """What a conversation begins with."""

    title: Title | None = Field(default=None, examples=["Warranty"])
    system: System | None = Field(
        default=None, description="what the model is told before everything else", examples=["Answer briefly."]
    )
    prompt: PromptUse | None = Field(
        default=None, description="instead of `system`: filled in once, whatever becomes of it later", examples=[None]
    )
    model: ModelName = Field(default="default", description="as in /v1/chat/completions", examples=["default"])

    @model_validator(mode="after")
    def _check_system(self) -> Self:
        if self.system is not None and self.prompt is not None:
            raise ValueError("send either system or prompt")
        return self


class ConversationChange(Payload):
    """What can be changed about a conversation; a field that is left out stays as it is."""

    title: Title | None = Field(default=None, description="null takes it away", examples=["Warranty"])


class ConversationRead(BaseModel):
    """A conversation as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str | None = Field(examples=["Warranty"])
    system: str | None = Field(examples=["Answer briefly."])
    model: str = Field(examples=["default"])
    prompt_name: str | None = Field(description="the stored prompt that `system` comes from", examples=[None])
    prompt_version: int | None = Field(examples=[None])
    created_at: datetime


class MessageCreate(Payload):
    """What the user says, and how it shall be answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"content": "The warranty lasts 24 months. How long is the warranty?", "stream": False}]
        },
    )

    content: Content
    stream: bool = Field(default=False, description="send the answer as server-sent events while it is written")
    max_tokens: int | None = Field(default=None, ge=1, description="of the answer, at most", examples=[200])
    temperature: float | None = Field(default=None, ge=0, le=2)


class MessageUsage(BaseModel):
    """Tokens that the language model read and wrote; `offline:extractive` counts words."""

    input_tokens: int = Field(examples=[412])
    output_tokens: int = Field(examples=[23])


class MessageRead(BaseModel):
    """One turn of a conversation."""

    id: UUID
    role: Literal["user", "assistant"]
    content: str = Field(examples=["The warranty lasts 24 months."])
    answer_id: UUID | None = Field(
        description="of a user's turn: the message that answers it, once that is over", examples=[None]
    )
    model: str | None = Field(description="of an assistant's turn: who wrote it", examples=["offline:extractive"])
    finish_reason: str | None = Field(
        description="of an assistant's turn: the model's own, or cancelled, failed or refused where it is cut short",
        examples=["stop"],
    )
    usage: MessageUsage | None = Field(description="of a complete answer")
    prompt_name: str | None = Field(description="the stored prompt that it was written under", examples=[None])
    prompt_version: int | None = Field(examples=[None])
    created_at: datetime

    @classmethod
    def of(cls, message: ConversationMessage) -> Self:
        """Put a message on the wire."""
        usage = None
        if message.input_tokens is not None and message.output_tokens is not None:
            usage = MessageUsage(input_tokens=message.input_tokens, output_tokens=message.output_tokens)
        return cls(
            id=message.id,
            role="assistant" if message.role == "assistant" else "user",
            content=message.content,
            answer_id=message.answer_id,
            model=message.model,
            finish_reason=message.finish_reason,
            usage=usage,
            prompt_name=message.prompt_name,
            prompt_version=message.prompt_version,
            created_at=message.created_at,
        )
