"""The port for rate limits."""

from collections.abc import Sequence
from typing import Protocol

from app.usage.quotas import Charge, Quota, QuotaDecision


class RateLimiter(Protocol):
    """Counts the use of quotas per owner; falls back to counting per process if the shared counters are unavailable."""

    async def take(self, owner: str, charges: Sequence[Charge]) -> QuotaDecision:
        """Take all charges, or none if one of the quotas has too little left."""

    async def correct(self, owner: str, quota: Quota, taken: QuotaDecision, difference: int) -> None:
        """Add a difference, which may be negative, to what was taken from a quota; no effect after two windows."""
