"""What keeping callers to their quotas takes."""

from collections.abc import Sequence
from typing import Protocol

from app.usage.quotas import Charge, Quota, Taken


class RateLimiter(Protocol):
    """Counts what owners take of their quotas; where it cannot count together with others, it counts alone."""

    async def take(self, owner: str, charges: Sequence[Charge]) -> Taken:
        """Take all of it, or nothing if one of the quotas has too little left."""

    async def correct(self, owner: str, quota: Quota, taken: Taken, difference: int) -> None:
        """Put right what was taken of a quota; what is older than two windows no longer counts."""
