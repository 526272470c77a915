"""The exact prices of tokens."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from app.usage.prices import Price, find_price, format_amount
from app.usage.settings import UsageSettings

GPT = Price(input=Decimal("1.25"), cached_input=Decimal("0.125"), output=Decimal(10))
PRICES = {"openai:gpt-5": GPT, "claude-sonnet-4-5": Price(input=Decimal(3), output=Decimal(15))}


def test_cached_tokens_are_among_the_input_and_have_their_own_price() -> None:
    assert GPT.cost(1000, 100, 400) == Decimal("0.0018") == (600 * GPT.input + 400 * Decimal("0.125") + 1000) / 10**6


def test_cached_tokens_cost_what_others_cost_unless_said() -> None:
    price = PRICES["claude-sonnet-4-5"]
    assert price.cost(1000, 0, 400) == price.cost(1000, 0) == Decimal("0.003")


def test_a_single_token_of_the_cheapest_kind_is_not_rounded_away() -> None:
    assert Price(input=Decimal("0.0000001"), output=Decimal(0)).cost(1, 0) == Decimal("1e-12")


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("openai:gpt-5", GPT),
        ("openai:gpt-5-2025-08-07", GPT),
        ("anthropic:claude-sonnet-4-5-20250929", PRICES["claude-sonnet-4-5"]),
        ("openai:gpt-5-mini", None),
        ("azure:gpt-5", None),
        ("offline:extractive", Price(input=Decimal(0), output=Decimal(0))),
    ],
)
def test_a_price_is_found_by_the_model_with_or_without_provider_and_release(model: str, found: Price | None) -> None:
    assert find_price(PRICES, model) == found


def test_amounts_are_written_in_full() -> None:
    assert [format_amount(Decimal(each)) for each in ("0.120000", "1E+2", "0", "1E-12")] == [
        "0.12",
        "100",
        "0",
        "0.000000000001",
    ]


def test_a_price_below_nothing_is_refused() -> None:
    with pytest.raises(ValidationError):
        UsageSettings.model_validate({"prices": {"gpt-5": {"input": -1, "output": 1}}})


def test_an_empty_budget_is_none() -> None:
    assert UsageSettings.model_validate({"monthly_budget": ""}).monthly_budget is None
