"""The rate limiter: counts shared in Valkey, or counts of this process while Valkey does not answer."""

import time
from collections.abc import Sequence
from typing import Any

from opentelemetry.metrics import get_meter
from redis.asyncio import Redis

from app.adapters.valkey import ValkeySettings
from app.adapters.valkey_scripts import OUTAGE_SECONDS, Script, ValkeyScripts
from app.usage.ports import RateLimiter
from app.usage.quotas import WINDOW_SECONDS, Charge, Level, Quota, QuotaDecision

_fallbacks = get_meter("app.usage").create_counter(
    "app_rate_limit_fallbacks", description="counts that a process kept alone because Valkey did not answer"
)

# KEYS: a hash for each quota. ARGV: the seconds of a window; limit and amount for each quota.
TAKE = """
local time, length = redis.call('TIME'), tonumber(ARGV[1])
local now = (time[1] + time[2] / 1000000) / length
local window = math.floor(now)
local result, fits = {0, window, tostring(now - window)}, true
for i, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'window', 'current', 'previous')
  local age = found[1] and window - found[1]
  local current, previous = 0, 0
  if age == 0 then
    current, previous = tonumber(found[2]), tonumber(found[3])
  elseif age == 1 then
    previous = tonumber(found[2])
  end
  local used = current + previous * (1 - (now - window))
  fits = fits and used + ARGV[2 * i + 1] <= tonumber(ARGV[2 * i])
  table.insert(result, current)
  table.insert(result, previous)
end
if fits then
  result[1] = 1
  for i, key in ipairs(KEYS) do
    result[2 * i + 2] = result[2 * i + 2] + ARGV[2 * i + 1]
    redis.call('HSET', key, 'window', window, 'current', result[2 * i + 2], 'previous', result[2 * i + 3])
    redis.call('PEXPIRE', key, math.ceil(2000 * length))
  end
end
return result
"""

# KEYS: the hash of a quota. ARGV: the window in which something was taken; what to add to it.
CORRECT = """
local found = redis.call('HMGET', KEYS[1], 'window', 'current', 'previous')
local age = found[1] and found[1] - ARGV[1]
if age == 0 then
  redis.call('HSET', KEYS[1], 'current', math.max(0, found[2] + ARGV[2]))
elseif age == 1 then
  redis.call('HSET', KEYS[1], 'previous', math.max(0, found[3] + ARGV[2]))
end
"""


class LocalRateLimiter:
    """Counts for this process only."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._seconds = window_seconds
        self._window = 0
        self._current: dict[tuple[str, str], int] = {}
        self._previous: dict[tuple[str, str], int] = {}

    async def take(self, owner: str, charges: Sequence[Charge]) -> QuotaDecision:
        """Take everything or nothing."""
        elapsed = self._roll_window()
        levels = [self._level(owner, charge.quota, elapsed) for charge in charges]
        fits = all(
            level.used + charge.amount <= charge.quota.limit for charge, level in zip(charges, levels, strict=True)
        )
        if fits:
            for charge, level in zip(charges, levels, strict=True):
                self._current[owner, charge.quota.name] = level.current + charge.amount
            levels = [self._level(owner, charge.quota, elapsed) for charge in charges]
        return QuotaDecision(fits, self._window, levels, alone=True)

    async def correct(self, owner: str, quota: Quota, taken: QuotaDecision, difference: int) -> None:
        """Correct what was taken from a quota."""
        self._roll_window()
        counts = {0: self._current, 1: self._previous}.get(self._window - taken.window, {})
        if (owner, quota.name) in counts:
            counts[owner, quota.name] = max(0, counts[owner, quota.name] + difference)

    def _roll_window(self) -> float:
        """Begin a new window if it is due, and drop older counts; return the elapsed fraction of the current window."""
        now = time.time() / self._seconds
        window = int(now)
        if window != self._window:
            self._previous = self._current if window == self._window + 1 else {}
            self._window, self._current = window, {}
        return now - window

    def _level(self, owner: str, quota: Quota, elapsed: float) -> Level:
        key = owner, quota.name
        return Level(quota, self._current.get(key, 0), self._previous.get(key, 0), elapsed, self._seconds)


class ValkeyRateLimiter:
    """Counts for all processes; falls back to counts of this process while Valkey is away."""

    def __init__(
        self,
        client: Redis,
        prefix: str,
        window_seconds: float = WINDOW_SECONDS,
        outage_seconds: float = OUTAGE_SECONDS,
    ) -> None:
        self._scripts = ValkeyScripts(client, "rate_limiter", outage_seconds)
        self._take = self._scripts.register(TAKE)
        self._correct = self._scripts.register(CORRECT)
        self._prefix = prefix
        self._seconds = window_seconds
        self._alone = LocalRateLimiter(window_seconds)

    async def take(self, owner: str, charges: Sequence[Charge]) -> QuotaDecision:
        """Take everything or nothing."""
        keys = [self._key(owner, charge.quota) for charge in charges]
        numbers = [number for charge in charges for number in (charge.quota.limit, charge.amount)]
        answer = await self._ask(self._take, keys, [self._seconds, *numbers])
        if answer is None:
            return await self._alone.take(owner, charges)
        allowed, window, elapsed, *counts = answer
        pairs = zip(charges, counts[::2], counts[1::2], strict=True)
        levels = [
            Level(charge.quota, int(current), int(previous), float(elapsed), self._seconds)
            for charge, current, previous in pairs
        ]
        return QuotaDecision(bool(allowed), int(window), levels, alone=False)

    async def correct(self, owner: str, quota: Quota, taken: QuotaDecision, difference: int) -> None:
        """Correct what was taken from a quota, in Valkey or locally, wherever it was counted."""
        if taken.alone:
            await self._alone.correct(owner, quota, taken, difference)
        else:
            await self._ask(self._correct, [self._key(owner, quota)], [taken.window, difference])

    def _key(self, owner: str, quota: Quota) -> str:
        # In a cluster, the braces keep what one script touches together.
        return ":".join((self._prefix, "limits", "{" + owner + "}", quota.name))

    async def _ask(self, script: Script, keys: Sequence[str], args: Sequence[int | float]) -> Any:  # noqa: ANN401
        """Run a script; None while the server does not answer."""
        answer = await self._scripts.run(script, keys, args)
        if answer is None:
            _fallbacks.add(1)
        return answer


def open_rate_limiter(settings: ValkeySettings, client: Redis | None) -> RateLimiter:
    """Return a limiter on Valkey, or a local one if Valkey is not configured."""
    return LocalRateLimiter() if client is None else ValkeyRateLimiter(client, settings.prefix)
