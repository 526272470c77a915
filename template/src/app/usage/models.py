"""The tables of usage records, budgets, spending and reservations."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record, Table

# A token may cost less than a ten-millionth, and a month more than a million.
Money = Numeric(24, 12)


class UsageRecord(Record):
    """One use of a language model. `key_id` is no foreign key, because records outlive API keys."""

    __tablename__ = "usage_records"
    __table_args__ = (Index("ix_usage_records_owner_id_created_at", "owner_id", "created_at"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[UUID | None]
    endpoint: Mapped[str]
    model: Mapped[str]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    estimated: Mapped[bool]
    finish_reason: Mapped[str]
    first_token_seconds: Mapped[float | None]
    seconds: Mapped[float]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[int | None]
    cost: Mapped[Decimal | None] = mapped_column(Money)


class Budget(Table):
    """The monthly budget of an account, if it is not the default; a null amount is no limit."""

    __tablename__ = "budgets"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    amount: Mapped[Decimal | None] = mapped_column(Money)


class MonthlySpending(Table):
    """What an account has spent in a month (UTC), and what is reserved for running calls."""

    __tablename__ = "monthly_spendings"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    spent: Mapped[Decimal] = mapped_column(Money)
    reserved: Mapped[Decimal] = mapped_column(Money)


class Reservation(Record):
    """A running call and its highest cost. Its id becomes that of its usage record."""

    __tablename__ = "reservations"
    __table_args__ = (Index("ix_reservations_owner_id_expires_at", "owner_id", "expires_at"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[UUID | None]
    endpoint: Mapped[str]
    model: Mapped[str]
    month: Mapped[date]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost: Mapped[Decimal | None] = mapped_column(Money)
    expires_at: Mapped[datetime]
