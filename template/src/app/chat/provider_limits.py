"""Limits per provider and minute, shared by all processes and callers."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import structlog

from app.chat.metering import Meter
from app.chat.metrics import count_limited
from app.chat.ports import LanguageModel, ModelAttempt, ModelRequest, StreamEvent
from app.errors import ProviderLimitError, UnsupportedParameterError, UpstreamTimeoutError
from app.usage.quotas import Charge, Quota

log = structlog.get_logger(__name__)

ENDPOINT = "provider"


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """Requests and tokens per minute; 0 means no limit.

    Attributes:
        longest_wait: most seconds that a call waits for its turn.
    """

    requests: int
    tokens: int
    longest_wait: float


@dataclass(frozen=True, slots=True)
class Turn:
    """The limiter's decision about a call.

    Attributes:
        is_granted: whether the call may proceed after `wait`; if not, nothing was taken.
        wait: seconds until the limits admit the call.
        alone: whether only this process's own counts were used.
    """

    is_granted: bool
    wait: float
    alone: bool


class ProviderLimiter(Protocol):
    """Counts calls to providers across processes, or per process if it cannot. Its methods never raise."""

    async def take(self, provider: str, charges: Sequence[Charge], longest_wait: float) -> Turn:
        """Take all charges if they are available within `longest_wait` seconds, or none of them.

        No charge may exceed its quota. Waiting calls get their turns in order of arrival.
        """

    async def settle(self, provider: str, charges: Sequence[Charge], turn: Turn) -> None:
        """Correct what was taken for a turn: positive charges take more, negative ones give back."""


def limit_calls(
    find: Callable[[str], LanguageModel], provider: str, limits: ProviderLimits, limiter: ProviderLimiter
) -> Callable[[str], LanguageModel]:
    """Wrap the models that `find` returns, so that they share the provider's limits."""
    if not limits.requests and not limits.tokens:
        return find
    return lambda name: LimitedLanguageModel(find(name), provider, limits, limiter)


class LimitedLanguageModel:
    """A model whose calls count towards its provider's limits.

    A call takes the most that it may need in advance, and gives back the rest at its end.
    """

    def __init__(self, model: LanguageModel, provider: str, limits: ProviderLimits, limiter: ProviderLimiter) -> None:
        self._model = model
        self._provider = provider
        self._limits = limits
        self._limiter = limiter

    @property
    def name(self) -> str:
        """Name of the wrapped model."""
        return self._model.name

    @property
    def fallbacks(self) -> Sequence[str]:
        """Fallbacks of the wrapped model."""
        return self._model.fallbacks

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Wait for the call's turn, then stream the model's answer.

        Raises:
            ProviderLimitError: the wait would be too long.
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
                    if not isinstance(event, ModelAttempt):
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
            "This service has reached its own limit for the language model's provider; try again later.",
            retry_after=max(1, math.ceil(turn.wait)),
        )

    async def _wait(self, turn: Turn) -> None:
        if turn.wait > 0:
            count_limited(self._provider, "waited")
            await asyncio.sleep(turn.wait)

    def _charges(self, requests: int, tokens: int) -> list[Charge]:
        """Return the charges, each at most the limit of a minute."""
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
