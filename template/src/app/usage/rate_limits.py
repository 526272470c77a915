"""Rate limits: requests and tokens per minute, for each account."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.caller import Caller
from app.errors import PayloadTooLargeError, TooManyRequestsError
from app.response_headers import add_response_headers
from app.usage.ports import RateLimiter
from app.usage.quotas import Charge, Level, Quota, QuotaDecision
from app.usage.settings import LimitsSettings

REQUESTS = "requests"
TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Enforces the quotas of callers. All keys of an account share them."""

    limiter: RateLimiter
    settings: LimitsSettings

    async def take(self, tokens: int, *, caller: Caller) -> QuotaDecision | None:
        """Take a request with its highest number of tokens from the quotas; None if there are no quotas.

        Raises:
            PayloadTooLargeError: the request alone may exceed the tokens per minute.
            TooManyRequestsError: a quota has too little left at the moment.
        """
        charges = self._charges(tokens)
        if not charges:
            return None
        taken = await self.limiter.take(str(caller.id), charges)
        add_response_headers({name: value for level in taken.levels for name, value in _headers(level)})
        if not taken.allowed:
            raise _refusal(charges, taken.levels)
        return taken

    async def correct(self, taken: QuotaDecision, difference: int, *, caller: Caller) -> None:
        """Add a difference, which may be negative, to the tokens taken, once the actual number is known."""
        for level in taken.levels:
            if level.quota.name == TOKENS and difference:
                await self.limiter.correct(str(caller.id), level.quota, taken, difference)

    def _charges(self, tokens: int) -> list[Charge]:
        charges: list[Charge] = []
        if self.settings.requests_per_minute:
            charges.append(Charge(Quota(REQUESTS, self.settings.requests_per_minute), 1))
        if tokens and (most := self.settings.tokens_per_minute):
            if tokens > most:
                raise PayloadTooLargeError(
                    f"This request may take {tokens} tokens, with its answer, and you have {most} per minute: "
                    "send less, or ask for a shorter answer."
                )
            charges.append(Charge(Quota(TOKENS, most), tokens))
        return charges


def _refusal(charges: list[Charge], levels: Sequence[Level]) -> TooManyRequestsError:
    """Return the error for the quota that takes longest to recover."""
    waits = [(level.seconds_until(charge.amount), level.quota) for charge, level in zip(charges, levels, strict=True)]
    seconds, quota = max(waits, key=lambda wait: wait[0])
    return TooManyRequestsError(
        f"You have {quota.limit} {quota.name} per minute, and too few are left. Try again in {math.ceil(seconds)} s.",
        retry_after=max(1, math.ceil(seconds)),
    )


def _headers(level: Level) -> list[tuple[str, str]]:
    """Return the level of a quota as the headers that OpenAI's clients read."""
    name = level.quota.name
    return [
        (f"x-ratelimit-limit-{name}", str(level.quota.limit)),
        (f"x-ratelimit-remaining-{name}", str(level.remaining)),
        (f"x-ratelimit-reset-{name}", f"{level.seconds_until_reset:.3f}s"),
    ]
