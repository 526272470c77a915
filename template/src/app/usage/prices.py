"""Prices of tokens."""

import re
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal

from pydantic import BaseModel, ConfigDict, Field

MILLION = 1_000_000
SMALLEST = Decimal("1e-12")  # the precision of the database
FREE_PROVIDER = "offline:"

# Providers append the release to the model: gpt-5-2025-08-07, claude-sonnet-4-5-20250929.
_RELEASE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class Price(BaseModel):
    """The price of a million tokens, in the currency of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, le=MILLION)
    output: Decimal = Field(ge=0, le=MILLION)
    cached_input: Decimal | None = Field(default=None, ge=0, le=MILLION, description="defaults to `input`")

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> Decimal:
        """Return the cost of tokens; `cached_tokens` are a part of `input_tokens`."""
        cached_input = self.input if self.cached_input is None else self.cached_input
        cached = min(cached_tokens, input_tokens)
        millions = (input_tokens - cached) * self.input + cached * cached_input + output_tokens * self.output
        return (millions / MILLION).quantize(SMALLEST, ROUND_UP)


def format_amount(amount: Decimal) -> str:
    """Format an amount exactly, without trailing zeros."""
    return format(amount.normalize(), "f")


FREE = Price(input=Decimal(0), output=Decimal(0))


def find_price(prices: Mapping[str, Price], model: str) -> Price | None:
    """Find the price of a model such as `openai:gpt-5`, with or without the provider; None if there is none."""
    if model.startswith(FREE_PROVIDER):
        return FREE
    for name in (model, _RELEASE.sub("", model)):
        price = prices.get(name) or prices.get(name.partition(":")[2])
        if price is not None:
            return price
    return None
