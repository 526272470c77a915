"""Circuit breakers for language models, per process or shared through a Valkey."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from app.adapters.valkey_scripts import OUTAGE_SECONDS, Script, ValkeyScripts
from app.chat.circuits import Circuit, CircuitBreaker

MOST_SECONDS = 3600

# One hash per circuit; times are milliseconds of the server's clock. `until` exists while the circuit is not closed and
# says when a trial is admitted. Otherwise `failures` counts the failures of the window that began at `since`.
NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
ADMIT = (
    NOW
    + """
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until'))
if not until_ then return -1 end
if now < until_ then return until_ - now end
redis.call('HSET', KEYS[1], 'until', now + ARGV[1])
return 0
"""
)
LOOK = (
    NOW
    + """
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until'))
if not until_ then return -1 end
return math.max(until_ - now, 0)
"""
)
GIVE_BACK = (
    NOW
    + """
if redis.call('HEXISTS', KEYS[1], 'until') == 1 then redis.call('HSET', KEYS[1], 'until', now) end
return 0
"""
)
FAIL = (
    NOW
    + """
local pause, window, limit, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
redis.call('PEXPIRE', KEYS[1], life)
if redis.call('HEXISTS', KEYS[1], 'until') == 1 then
  redis.call('HSET', KEYS[1], 'until', now + pause)
  return 1
end
local since = tonumber(redis.call('HGET', KEYS[1], 'since'))
if not since or now - since >= window then redis.call('HSET', KEYS[1], 'since', now, 'failures', 0) end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
if failures >= limit then
  redis.call('HDEL', KEYS[1], 'since', 'failures')
  redis.call('HSET', KEYS[1], 'until', now + pause)
end
redis.call('PEXPIRE', KEYS[1], life)
return failures >= limit and 1 or 0
"""
)


class CircuitBreakerSettings(BaseModel):
    """Settings for circuit breakers. Times are in seconds."""

    model_config = ConfigDict(extra="forbid")

    failures: int = Field(default=5, ge=1, description="number of failures within the window that open the circuit")
    window: float = Field(default=60, gt=0, le=MOST_SECONDS)
    pause: float = Field(default=30, gt=0, le=MOST_SECONDS, description="until a trial request is admitted")


@dataclass(slots=True)
class _Memory:
    """The state of a model; `until` is set while its circuit is not closed."""

    since: float = 0
    failures: int = 0
    until: float | None = None


class LocalCircuitBreaker:
    """A circuit breaker for this process only."""

    def __init__(self, settings: CircuitBreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    @property
    def pause(self) -> float:
        """The configured pause in seconds."""
        return self._settings.pause

    async def admit(self, model: str) -> Circuit:
        """Return the state of the circuit, and take the trial if it is due."""
        circuit = await self.look(model)
        if circuit.state == "half_open":
            self._memories[model].until = self._clock() + self._settings.pause
        return circuit

    async def give_back(self, model: str) -> None:
        """Return an unused trial."""
        memory = self._memories.get(model)
        if memory is not None and memory.until is not None:
            memory.until = self._clock()

    async def note_failure(self, model: str) -> bool:
        """Count a failure; return whether the circuit is open now."""
        memory, now = self._memories.setdefault(model, _Memory()), self._clock()
        if now - memory.since >= self._settings.window:
            memory.since, memory.failures = now, 0
        memory.failures += 1
        if memory.until is None and memory.failures < self._settings.failures:
            return False
        memory.until = now + self._settings.pause
        return True

    async def close(self, model: str) -> None:
        """Close the circuit."""
        self._memories.pop(model, None)

    async def look(self, model: str) -> Circuit:
        """Return the state of the circuit."""
        memory = self._memories.get(model)
        if memory is None or memory.until is None:
            return Circuit()
        left = memory.until - self._clock()
        return Circuit("open", left) if left > 0 else Circuit("half_open")


class ValkeyCircuitBreaker:
    """A circuit breaker shared by all processes; local to this process while the server does not answer."""

    def __init__(
        self, client: Redis, prefix: str, settings: CircuitBreakerSettings, outage_seconds: float = OUTAGE_SECONDS
    ) -> None:
        self._scripts = ValkeyScripts(client, "circuit_breaker", outage_seconds)
        self._admit = self._scripts.register(ADMIT)
        self._look = self._scripts.register(LOOK)
        self._give_back = self._scripts.register(GIVE_BACK)
        self._fail = self._scripts.register(FAIL)
        self._close = self._scripts.register("return redis.call('DEL', KEYS[1])")
        self._prefix = prefix
        self._settings = settings
        self._local = LocalCircuitBreaker(settings)

    @property
    def pause(self) -> float:
        """The configured pause in seconds."""
        return self._settings.pause

    async def admit(self, model: str) -> Circuit:
        """Return the state of the circuit, and take the trial if it is due."""
        left = await self._run(self._admit, model, _milliseconds(self._settings.pause))
        return await self._local.admit(model) if left is None else _circuit(left)

    async def give_back(self, model: str) -> None:
        """Return an unused trial."""
        await self._local.give_back(model)
        await self._run(self._give_back, model)

    async def note_failure(self, model: str) -> bool:
        """Count a failure; return whether the circuit is open now."""
        times = (self._settings.pause, self._settings.window)
        life = _milliseconds(2 * MOST_SECONDS)
        opened = await self._run(self._fail, model, *map(_milliseconds, times), self._settings.failures, life)
        return await self._local.note_failure(model) if opened is None else opened == 1

    async def close(self, model: str) -> None:
        """Close the circuit."""
        await self._local.close(model)
        await self._run(self._close, model)

    async def look(self, model: str) -> Circuit:
        """Return the state of the circuit."""
        left = await self._run(self._look, model)
        return await self._local.look(model) if left is None else _circuit(left)

    async def _run(self, script: Script, model: str, *arguments: int) -> int | None:
        """Run a script on the model's key; return None if the server is unreachable."""
        answer = await self._scripts.run(script, [f"{self._prefix}:circuit:{model}"], arguments)
        return None if answer is None else int(answer)


def open_circuit_breaker(settings: CircuitBreakerSettings, valkey: Redis | None, prefix: str) -> CircuitBreaker:
    """Return a circuit breaker that is shared through Valkey, or a local one without Valkey."""
    return LocalCircuitBreaker(settings) if valkey is None else ValkeyCircuitBreaker(valkey, prefix, settings)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _circuit(left: int) -> Circuit:
    """Convert a script's result: -1 is closed, 0 half open, else the milliseconds until the next trial."""
    if left < 0:
        return Circuit()
    return Circuit("open", left / 1000) if left else Circuit("half_open")
