"""The tables of accounts and API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class Account(Record):
    """An account, which owns documents and keys. E-mail addresses are stored in lower case."""

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=true())


class ApiKey(Record):
    """An API key. Only its SHA-256 is stored: the key has 256 random bits, so a slow hash is not needed."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_account_id_created_at", "account_id", "created_at", "id"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String))
    expires_at: Mapped[datetime | None]
