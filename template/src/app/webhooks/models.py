"""The table of webhook endpoints."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record, Table


class WebhookEndpoint(Record):
    """Where an owner wants to be told of events, and of which.

    `secret` signs what is sent, so it is kept as it is. `disabled_at` is when the receiver said that it is gone.
    Until `rests_until`, after a call that took long, nothing new is sent.
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
    """The rest that an owner's deleted endpoints would still have, which new ones of that owner take over."""

    __tablename__ = "webhook_rests"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    rests_until: Mapped[datetime]
