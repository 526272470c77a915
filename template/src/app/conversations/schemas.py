"""Request and response schemas of conversations."""

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
    """A conversation to create."""

    title: Title | None = Field(default=None, examples=["Warranty"])
    system: System | None = Field(default=None, description="system prompt for the model", examples=["Answer briefly."])
    prompt: PromptUse | None = Field(
        default=None, description="stored prompt instead of `system`, filled in once", examples=[None]
    )
    model: ModelName = Field(default="default", description="as in /v1/chat/completions", examples=["default"])

    @model_validator(mode="after")
    def _check_system(self) -> Self:
        if self.system is not None and self.prompt is not None:
            raise ValueError("send either system or prompt")
        return self


class ConversationChange(Payload):
    """Changes to a conversation; omitted fields stay unchanged."""

    title: Title | None = Field(default=None, description="null removes it", examples=["Warranty"])


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
    """A message of the user, with options for the answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"content": "The warranty lasts 24 months. How long is the warranty?", "stream": False}]
        },
    )

    content: Content
    stream: bool = Field(default=False, description="send the answer as server-sent events while it is written")
    max_tokens: int | None = Field(default=None, ge=1, description="most tokens of the answer", examples=[200])
    temperature: float | None = Field(default=None, ge=0, le=2)


class MessageUsage(BaseModel):
    """Tokens that the language model read and wrote; `offline:extractive` counts words."""

    input_tokens: int = Field(examples=[412])
    output_tokens: int = Field(examples=[23])


class MessageRead(BaseModel):
    """A message of a conversation."""

    id: UUID
    role: Literal["user", "assistant"]
    content: str = Field(examples=["The warranty lasts 24 months."])
    answer_id: UUID | None = Field(
        description="for a user's message: id of the answer, which is stored once it has ended", examples=[None]
    )
    model: str | None = Field(description="for an assistant's message: the model", examples=["offline:extractive"])
    finish_reason: str | None = Field(
        description="for an assistant's message: the model's, or cancelled, failed or refused if incomplete",
        examples=["stop"],
    )
    usage: MessageUsage | None = Field(description="tokens of a complete answer")
    prompt_name: str | None = Field(description="the stored prompt that applied to the answer", examples=[None])
    prompt_version: int | None = Field(examples=[None])
    created_at: datetime

    @classmethod
    def of(cls, message: ConversationMessage) -> Self:
        """Create the response from a message."""
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
