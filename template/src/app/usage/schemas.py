"""Usage on the wire."""

from collections.abc import Sequence
from datetime import date
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.usage.repository import DailyUsage


class UsageTotal(BaseModel):
    """Requests and the tokens that they took."""

    requests: int = Field(examples=[120])
    input_tokens: int = Field(examples=[48_000])
    output_tokens: int = Field(examples=[9_600])
    cached_tokens: int = Field(description="those of the input that the provider had in its cache", examples=[32_000])


class UsageDay(UsageTotal):
    """What was used of one model on one day."""

    model_config = ConfigDict(from_attributes=True)

    day: date = Field(description="in UTC")
    model: str = Field(examples=["openai:gpt-5"])


class UsageReport(BaseModel):
    """The caller's use of language models, the newest day first."""

    first: date
    last: date
    items: list[UsageDay]
    total: UsageTotal

    @classmethod
    def of(cls, first: date, last: date, days: Sequence[DailyUsage]) -> Self:
        """Put days on the wire, and add them up."""
        total = UsageTotal(
            requests=sum(day.requests for day in days),
            input_tokens=sum(day.input_tokens for day in days),
            output_tokens=sum(day.output_tokens for day in days),
            cached_tokens=sum(day.cached_tokens for day in days),
        )
        return cls(first=first, last=last, items=[UsageDay.model_validate(day) for day in days], total=total)
