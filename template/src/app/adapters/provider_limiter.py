"""The provider limiter: token buckets in Valkey for all processes, or per process while Valkey is unreachable.

A bucket refills evenly, holds at most a minute's limit, and may be emptied at once. Waiting calls overdraw it in
advance, and so do answers that took more than expected, but by no more than its size.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentelemetry.metrics import get_meter
from redis.asyncio import Redis

from app.adapters.valkey import ValkeySettings
from app.adapters.valkey_scripts import OUTAGE_SECONDS, ValkeyScripts
from app.chat.provider_limits import ProviderLimiter, Turn
from app.usage.quotas import WINDOW_SECONDS, Charge, Quota

ALWAYS = -1

_fallbacks = get_meter("app.chat").create_counter(
    "app_provider_limit_fallbacks", description="calls that a process counted locally because Valkey did not answer"
)

# KEYS: a hash for each bucket; a missing one is full. ARGV: the milliseconds in which a bucket refills; the longest
# wait in milliseconds, or -1 for any; then the size of each bucket and the amount to take. Returns the wait in
# milliseconds until all amounts are available; if that is too long, nothing is taken. Uses the server's clock.
TAKE = """
local time, minute, longest = redis.call('TIME'), tonumber(ARGV[1]), tonumber(ARGV[2])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local levels, wait = {}, 0
for i, key in ipairs(KEYS) do
  local size, amount = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local found = redis.call('HMGET', key, 'level', 'at')
  local level = size
  if found[1] then level = math.min(size, found[1] + math.max(0, now - found[2]) * size / minute) end
  levels[i] = math.max(-size, math.min(size, level - amount))
  wait = math.max(wait, math.ceil((amount - level) * minute / size))
end
if longest >= 0 and wait > longest then return wait end
for i, key in ipairs(KEYS) do
  local size = tonumber(ARGV[2 * i + 1])
  redis.call('HSET', key, 'level', levels[i], 'at', now)
  redis.call('PEXPIRE', key, math.ceil((size - levels[i]) * minute / size) + 1)
end
return wait
"""
MINUTE = WINDOW_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class _Level:
    amount: float
    at: float


class LocalProviderLimiter:
    """A limiter for this process only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: dict[tuple[str, str], _Level] = {}

    async def take(self, provider: str, charges: Sequence[Charge], longest_wait: float) -> Turn:
        """Take all charges, or none if the wait would be too long."""
        now = self._clock()
        wait = max((self._wait(provider, charge, now) for charge in charges), default=0)
        if wait > longest_wait:
            return Turn(is_granted=False, wait=wait, alone=True)
        self._take(provider, charges, now)
        return Turn(is_granted=True, wait=wait, alone=True)

    async def settle(self, provider: str, charges: Sequence[Charge], turn: Turn) -> None:
        """Correct what was taken: positive charges take more, negative ones give back."""
        self._take(provider, charges, self._clock())

    def _take(self, provider: str, charges: Sequence[Charge], now: float) -> None:
        for charge in charges:
            size = charge.quota.limit
            left = max(-size, min(size, self._level(provider, charge.quota, now) - charge.amount))
            self._levels[provider, charge.quota.name] = _Level(left, now)

    def _wait(self, provider: str, charge: Charge, now: float) -> float:
        missing = charge.amount - self._level(provider, charge.quota, now)
        return max(0, missing * WINDOW_SECONDS / charge.quota.limit)

    def _level(self, provider: str, quota: Quota, now: float) -> float:
        last = self._levels.get((provider, quota.name))
        if last is None:
            return quota.limit
        return min(quota.limit, last.amount + (now - last.at) * quota.limit / WINDOW_SECONDS)


class ValkeyProviderLimiter:
    """A limiter shared by all processes, or local while the server does not answer (the provider limits as well)."""

    def __init__(self, client: Redis, prefix: str, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._scripts = ValkeyScripts(client, "provider_limiter", outage_seconds)
        self._script = self._scripts.register(TAKE)
        self._prefix = prefix
        self._alone = LocalProviderLimiter()

    async def take(self, provider: str, charges: Sequence[Charge], longest_wait: float) -> Turn:
        """Take all charges, or none if the wait would be too long."""
        longest = math.floor(longest_wait * 1000)
        wait = await self._run(provider, charges, longest)
        if wait is None:
            _fallbacks.add(1)
            return await self._alone.take(provider, charges, longest_wait)
        return Turn(is_granted=wait <= longest, wait=wait / 1000, alone=False)

    async def settle(self, provider: str, charges: Sequence[Charge], turn: Turn) -> None:
        """Correct what was taken, in Valkey or locally, wherever the turn was taken."""
        if turn.alone:
            await self._alone.settle(provider, charges, turn)
        else:
            await self._run(provider, charges, ALWAYS)

    async def _run(self, provider: str, charges: Sequence[Charge], longest: int) -> int | None:
        # Hash tag: in a cluster, all keys of a script must be in the same slot.
        name = ":".join((self._prefix, "providers", "{" + provider + "}"))
        keys = [f"{name}:{charge.quota.name}" for charge in charges]
        numbers = [number for charge in charges for number in (charge.quota.limit, charge.amount)]
        wait = await self._scripts.run(self._script, keys, [MINUTE, longest, *numbers])
        return None if wait is None else int(wait)


def open_provider_limiter(settings: ValkeySettings, client: Redis | None) -> ProviderLimiter:
    """Return a limiter on Valkey, or a local one if no Valkey is configured."""
    return LocalProviderLimiter() if client is None else ValkeyProviderLimiter(client, settings.prefix)
