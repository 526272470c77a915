"""How much callers may use."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from app.auth.caller import Caller, Scope
from app.usage.prices import Price


class LimitsSettings(BaseModel):
    """Limits on the use of language models; 0 is no limit."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int = Field(default=0, ge=0, description="of one account")
    tokens_per_minute: int = Field(
        default=0, ge=0, description="of one account, read and written; at least the longest answer"
    )
    concurrent_calls: int = Field(default=512, ge=0, description="of one process to language models")
    longest_wait: float = Field(default=10, ge=0, description="seconds that a call waits for others to end")
    max_output_tokens_by_scope: dict[Scope, PositiveInt] = Field(
        default={}, description="of one answer; the largest of the caller's scopes counts"
    )

    def longest_answer(self, caller: Caller) -> int | None:
        """Tell how many tokens an answer to this caller may have; None where none of the scopes says."""
        ceilings = self.max_output_tokens_by_scope
        return max((ceilings[scope] for scope in caller.scopes if scope in ceilings), default=None)


class UsageSettings(BaseModel):
    """What use costs, and how much of it a caller may have."""

    model_config = ConfigDict(extra="forbid")

    prices: dict[str, Price] = Field(
        default_factory=dict, description="of a million tokens, by `provider:model` or `model`"
    )
    currency: str = Field(default="USD", description="of prices and budgets; a label")
    monthly_budget: Decimal | None = Field(
        default=None, ge=0, description="of an account that has none of its own; none is no limit"
    )
    reservation_seconds: int = Field(
        default=900, ge=1, description="after which a call that never ended counts as spent; longer than any call"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: object) -> object:
        """Read `APP_USAGE__MONTHLY_BUDGET=` in an environment file as not set."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}
