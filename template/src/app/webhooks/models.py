"""The tables of webhook endpoints."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record, Table


class WebhookEndpoint(Record):
    """An endpoint that an owner registered for some types of events.

    `secret` signs the messages, so it is stored in plain text. `disabled_at` is when the receiver answered with 410.
    After a slow call, nothing is sent until `rests_until`.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("ix_webhook_endpoints_owner_id_created_at", "owner_id", "created_at", "id"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    url: Mapped[str]
    secret: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(String))
    disabled_at: Mapped[datetime | None]
    rests_until: Mapped[datetime | None]


class WebhookRest(Table):
    """The remaining pause of an owner's deleted endpoints, which the owner's next endpoints inherit."""

    __tablename__ = "webhook_rests"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    rests_until: Mapped[datetime]
