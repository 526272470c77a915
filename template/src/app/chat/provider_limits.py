"""So much may be asked of a provider in a minute, by all processes together, whoever the callers are."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import structlog

from app.chat.metering import Meter
from app.chat.metrics import count_limited
from app.chat.ports import Asked, LanguageModel, ModelRequest, StreamEvent
from app.errors import ProviderLimitError, UnsupportedParameterError, UpstreamTimeoutError
from app.usage.quotas import Charge, Quota

log = structlog.get_logger(__name__)

ENDPOINT = "provider"


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """What a provider may be asked in a minute; 0 is no limit.

    Attributes:
        longest_wait: seconds that a call waits for its turn.
    """

    requests: int
    tokens: int
    longest_wait: float


@dataclass(frozen=True, slots=True)
class Turn:
    """When something may be asked.

    Attributes:
        is_granted: it may, after the wait; nothing was taken otherwise.
        wait: seconds until there is enough.
        alone: whether this process counted for itself.
    """

    is_granted: bool
    wait: float
    alone: bool


class ProviderLimiter(Protocol):
    """Counts what providers are asked. It never raises; where it cannot count together with others, it counts alone."""

    async def take(self, provider: str, charges: Sequence[Charge], longest_wait: float) -> Turn:
        """Take all of it, now or for a turn within so many seconds; or nothing, if that is too long to wait for.

        No charge is more than its quota. Those who wait get their turns in the order in which they came.
        """

    async def settle(self, provider: str, charges: Sequence[Charge], turn: Turn) -> None:
        """Put right what was taken for a turn: take more, or give back what is below zero."""


def limit_calls(
    find: Callable[[str], LanguageModel], provider: str, limits: ProviderLimits, limiter: ProviderLimiter
) -> Callable[[str], LanguageModel]:
    """Hold a provider's models, all of them together, to its limits."""
    if not limits.requests and not limits.tokens:
        return find
    return lambda name: LimitedLanguageModel(find(name), provider, limits, limiter)


class LimitedLanguageModel:
    """A provider's model that is asked only as far as the provider's limits go.

    What a call may take at most is taken before it, what it did not take is given back after it.
    """

    def __init__(self, model: LanguageModel, provider: str, limits: ProviderLimits, limiter: ProviderLimiter) -> None:
        self._model = model
        self._provider = provider
        self._limits = limits
        self._limiter = limiter

    @property
    def name(self) -> str:
        """The model's own name."""
        return self._model.name

    @property
    def stand_ins(self) -> Sequence[str]:
        """The model's own."""
        return self._model.stand_ins

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer as the model does, when it is the call's turn.

        Raises:
            ProviderLimitError: that would take too long.
        """
        meter = Meter(ENDPOINT, self.name, request)
        taken = self._charges(1, meter.expect().tokens)
        turn = await self._limiter.take(self._provider, taken, self._patience(request))
        if not turn.is_granted:
            raise self._refusal(turn)
        try:
            await self._wait(turn)
            meter.is_begun = True
            async with aclosing(self._model.stream(request)) as events:
                async for event in events:
                    if not isinstance(event, Asked):
                        meter.note(event)
                    yield event
        except UnsupportedParameterError:
            meter.is_begun = False  # nothing was sent
            raise
        except (GeneratorExit, asyncio.CancelledError, UpstreamTimeoutError):
            meter.is_cancelled = True  # the provider has read the request, and may have begun to answer
            raise
        finally:
            await self._settle(taken, meter, turn)

    def _patience(self, request: ModelRequest) -> float:
        left = (request.deadline or math.inf) - asyncio.get_running_loop().time()
        return max(0, min(self._limits.longest_wait, left))

    def _refusal(self, turn: Turn) -> ProviderLimitError:
        count_limited(self._provider, "refused")
        log.warning("provider_limit.reached", provider=self._provider, model=self.name, wait=round(turn.wait, 3))
        return ProviderLimitError(
            "The language model has as much to do as this service may ask of it; try again later.",
            retry_after=max(1, math.ceil(turn.wait)),
        )

    async def _wait(self, turn: Turn) -> None:
        if turn.wait > 0:
            count_limited(self._provider, "waited")
            await asyncio.sleep(turn.wait)

    def _charges(self, requests: int, tokens: int) -> list[Charge]:
        """Say what is charged; what is more than a whole minute's empties the bucket."""
        amounts = (("requests", self._limits.requests, requests), ("tokens", self._limits.tokens, tokens))
        return [Charge(Quota(name, limit), min(amount, limit)) for name, limit, amount in amounts if limit]

    async def _settle(self, taken: Sequence[Charge], meter: Meter, turn: Turn) -> None:
        measured = meter.measure()
        used = self._charges(1, measured.input_tokens + measured.output_tokens)
        if not meter.is_begun:
            used = self._charges(0, 0)
        pairs = zip(taken, used, strict=True)
        charges = [Charge(before.quota, after.amount - before.amount) for before, after in pairs]
        if any(charge.amount for charge in charges):
            await self._limiter.settle(self._provider, charges, turn)
