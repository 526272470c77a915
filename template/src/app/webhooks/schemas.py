"""Request and response schemas of webhooks."""

from datetime import datetime
from typing import get_args
from uuid import UUID

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field

from app.event_publisher import EventType
from app.payloads import Payload

EVERY_EVENT: frozenset[EventType] = frozenset(get_args(EventType))


class WebhookCreate(Payload):
    """An endpoint to register."""

    url: AnyHttpUrl = Field(examples=["https://example.com/hooks/ai"])
    events: set[EventType] = Field(
        default=set(EVERY_EVENT),
        min_length=1,
        max_length=len(EVERY_EVENT),
        fail_fast=True,
        description="all by default",
    )


class WebhookRead(BaseModel):
    """An endpoint as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    url: str = Field(examples=["https://example.com/hooks/ai"])
    events: list[EventType]
    disabled_at: datetime | None = Field(description="when the receiver answered with 410; nothing is sent since")
    created_at: datetime


class WebhookCreated(WebhookRead):
    """A new endpoint; its `secret` is shown only once."""

    secret: str = Field(description="signs the messages, as in Standard Webhooks", examples=["whsec_MfKQ9r8GKYqr..."])
