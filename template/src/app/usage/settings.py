"""Settings for rate limits, prices and budgets."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from app.auth.caller import Caller, Scope
from app.usage.prices import Price


class LimitsSettings(BaseModel):
    """Limits on the use of language models; 0 is no limit."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int = Field(default=0, ge=0, description="most requests of one account per minute")
    tokens_per_minute: int = Field(
        default=0, ge=0, description="most tokens of one account per minute, at least as many as the longest answer"
    )
    concurrent_calls: int = Field(default=512, ge=0, description="most concurrent model calls of one process")
    longest_wait: float = Field(default=10, ge=0, description="most seconds that a call waits for others to end")
    max_output_tokens_by_scope: dict[Scope, PositiveInt] = Field(
        default={}, description="most tokens of an answer, by scope; the largest of the caller's scopes applies"
    )

    def longest_answer(self, caller: Caller) -> int | None:
        """Return the most tokens that an answer to this caller may have; None if its scopes set no limit."""
        ceilings = self.max_output_tokens_by_scope
        return max((ceilings[scope] for scope in caller.scopes if scope in ceilings), default=None)


class UsageSettings(BaseModel):
    """Prices and budgets."""

    model_config = ConfigDict(extra="forbid")

    prices: dict[str, Price] = Field(
        default_factory=dict, description="price of a million tokens, by `provider:model` or `model`"
    )
    currency: str = Field(default="USD", description="label for prices and budgets")
    monthly_budget: Decimal | None = Field(
        default=None, ge=0, description="default budget of an account; none is no limit"
    )
    reservation_seconds: int = Field(
        default=900, ge=1, description="seconds after which an unfinished call counts as spent; longer than any call"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: object) -> object:
        """Treat empty values as not set, such as `APP_USAGE__MONTHLY_BUDGET=` in an environment file."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}
