"""Response schemas of usage."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from app.usage.budgets import Month
from app.usage.prices import format_amount
from app.usage.repository import DailyUsage

# As a string, because binary floating point is not exact.
Money = Annotated[Decimal, PlainSerializer(format_amount, return_type=str)]


class UsageTotal(BaseModel):
    """Requests and the tokens that they used."""

    requests: int = Field(examples=[120])
    input_tokens: int = Field(examples=[48_000])
    output_tokens: int = Field(examples=[9_600])
    cached_tokens: int = Field(description="input tokens that the provider had cached", examples=[32_000])
    cost: Money | None = Field(
        description="cost of the requests whose price is known; null if there are none", examples=["0.156"]
    )


class UsageDay(UsageTotal):
    """The usage of one model on one day."""

    model_config = ConfigDict(from_attributes=True)

    day: date = Field(description="in UTC")
    model: str = Field(examples=["openai:gpt-5"])


class UsageMonth(BaseModel):
    """The caller's budget and spending of this month."""

    month: date = Field(description="its first day, in UTC", examples=["2026-11-01"])
    budget: Money | None = Field(description="null if there is no limit", examples=["50"])
    spent: Money = Field(examples=["12.5"])
    reserved: Money = Field(description="most that running calls may cost", examples=["0.04"])
    remaining: Money | None = Field(description="null if there is no limit", examples=["37.46"])

    @classmethod
    def of(cls, month: Month) -> Self:
        """Create the response from a month."""
        spending = month.spending
        return cls(
            month=month.month,
            budget=month.budget,
            spent=spending.spent,
            reserved=spending.reserved,
            remaining=month.remaining,
        )


class UsageReport(BaseModel):
    """The caller's usage of language models, newest day first."""

    first: date
    last: date
    items: list[UsageDay]
    total: UsageTotal
    currency: str = Field(examples=["USD"])
    month: UsageMonth

    @classmethod
    def of(cls, first: date, last: date, days: Sequence[DailyUsage], month: Month, currency: str) -> Self:
        """Create the response from days, with their total."""
        costs = [day.cost for day in days if day.cost is not None]
        total = UsageTotal(
            requests=sum(day.requests for day in days),
            input_tokens=sum(day.input_tokens for day in days),
            output_tokens=sum(day.output_tokens for day in days),
            cached_tokens=sum(day.cached_tokens for day in days),
            cost=sum(costs, Decimal(0)) if costs else None,
        )
        items = [UsageDay.model_validate(day) for day in days]
        return cls(first=first, last=last, items=items, total=total, currency=currency, month=UsageMonth.of(month))
