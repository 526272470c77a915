"""A chain of language models: while nothing is written yet, the next stands in for one that fails."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog
from stamina import retry_context

from app.chat.circuits import Circuit, CircuitBreaker
from app.chat.metrics import count_failure, show_circuit
from app.chat.ports import Asked, Hidden, LanguageModel, ModelRequest, StreamEvent
from app.errors import (
    AppError,
    ProviderLimitError,
    RequestRefusedError,
    ServiceRefusedError,
    UnavailableError,
    UnsupportedParameterError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)

log = structlog.get_logger(__name__)

# Seconds before another try: the first wait, the longest, and what chance adds to each.
FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0
JITTER = 0.2
OURS = (RequestRefusedError, ServiceRefusedError, UnsupportedParameterError)  # faults that are not the model's

ModelStream = AsyncGenerator[StreamEvent, None]


@dataclass(frozen=True, slots=True)
class FailoverModel:
    """Asks its models in order until one begins to answer; from then on the answer is that model's, come what may.

    Attributes:
        models: at least one.
        attempts: how often each may be tried.
        total_timeout: seconds for all of it.
    """

    models: Sequence[LanguageModel]
    breaker: CircuitBreaker
    attempts: int
    total_timeout: float

    @property
    def name(self) -> str:
        """The model that is asked first."""
        return self.models[0].name

    @property
    def stand_ins(self) -> Sequence[str]:
        """The models that are asked after it."""
        return [model.name for model in self.models[1:]]

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Answer piece by piece; raises the failure of the model that was asked last."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.total_timeout
        request = replace(request, deadline=end)
        failure: AppError | None = None
        for model in self.models:
            if failure and clock() >= end:
                break
            circuit = await self.breaker.admit(model.name)
            show_circuit(model.name, self.breaker.pause if circuit.state == "half_open" else circuit.retry_after)
            if circuit.state == "open":
                failure = failure or _out_of_order(circuit)
                continue
            yield Asked(model.name)
            begun = False
            try:
                async with aclosing(self._ask(model, request, circuit)) as events:
                    async for event in events:
                        if not begun and not isinstance(event, Hidden):
                            begun = True
                            await self._close(model, circuit)
                        yield event
            except (UpstreamError, UnsupportedParameterError) as error:
                is_ours = await self._learn(model, circuit, error, begun=begun)
                if begun or (is_ours and failure is None):
                    raise
                if not is_ours:  # that a stand-in is of no use is not what went wrong
                    failure = error
            else:
                return
        raise failure or UpstreamFailedError("There is no language model to ask.")

    async def _ask(self, model: LanguageModel, request: ModelRequest, circuit: Circuit) -> ModelStream:
        """Pass on what the model writes, and until it begins to answer, ask again a few times where that may help."""
        left = (request.deadline or 0) - asyncio.get_running_loop().time()
        begun = asyncio.Event()
        async for attempt in retry_context(
            on=lambda error: not begun.is_set() and _wait_before_retry(error),
            attempts=self.attempts if circuit.state == "closed" else 1,
            timeout=left - LONGEST_WAIT - JITTER,  # no wait goes beyond the deadline
            wait_initial=FIRST_WAIT,
            wait_max=LONGEST_WAIT,
            wait_jitter=JITTER,
        ):
            with attempt:
                async with aclosing(model.stream(request)) as events:
                    async for event in events:
                        if not isinstance(event, Hidden):
                            begun.set()
                        yield event
                if not begun.is_set():
                    raise UpstreamFailedError("The language model's answer has no end.")
                return

    async def _learn(self, model: LanguageModel, circuit: Circuit, error: AppError, *, begun: bool) -> bool:
        """Put on record what a failure says of the model; tells whether nobody but this service is to blame."""
        is_ours = not begun and isinstance(error, OURS)
        if isinstance(error, UnsupportedParameterError | ProviderLimitError):
            await self._give_back(model, circuit)
        elif is_ours:
            await self._close(model, circuit)
        if not is_ours:
            await self._note(model, error)
        return is_ours

    async def _note(self, model: LanguageModel, error: AppError) -> None:
        if isinstance(error, ProviderLimitError):
            return  # the model was not asked, so nothing is known against it
        count_failure(model.name, error.code)
        if await self.breaker.note_failure(model.name):
            show_circuit(model.name, self.breaker.pause)
            log.warning("circuit.opened", model=model.name, code=error.code)

    async def _give_back(self, model: LanguageModel, circuit: Circuit) -> None:
        """The model was not asked: another request may try whether it works again."""
        if circuit.state == "half_open":
            await self.breaker.give_back(model.name)

    async def _close(self, model: LanguageModel, circuit: Circuit) -> None:
        """A trial has shown that the model works again."""
        if circuit.state == "half_open":
            await self.breaker.close(model.name)
            show_circuit(model.name, 0)
            log.info("circuit.closed", model=model.name)


def _wait_before_retry(error: Exception) -> bool | float:
    """Tell whether asking the same model again may help, and if its provider said when, how long to wait."""
    if not isinstance(error, UpstreamError) or not error.retryable:
        return False
    if isinstance(error, UpstreamTimeoutError | ProviderLimitError):
        return False  # whoever has waited for a silent model, or for a turn, has waited enough
    if error.retry_after is None:
        return True
    if error.retry_after > LONGEST_WAIT:
        return False
    return error.retry_after + random.uniform(0, JITTER)  # noqa: S311 - nothing secret hangs on it


def _out_of_order(circuit: Circuit) -> UnavailableError:
    seconds = math.ceil(circuit.retry_after)
    return UnavailableError("The language model is out of order; try again later.", retry_after=max(seconds, 1))
