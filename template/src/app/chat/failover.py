"""Failover: if a language model fails before it begins to answer, the next model of its chain is called."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog
from stamina import retry_context

from app.chat.circuits import Circuit, CircuitBreaker
from app.chat.metrics import count_failure, record_circuit
from app.chat.ports import Hidden, LanguageModel, ModelAttempt, ModelRequest, StreamEvent
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

# Seconds before a retry: the first wait, the longest, and the random jitter added to each.
FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0
JITTER = 0.2
NOT_THE_MODELS_FAULT = (RequestRefusedError, ServiceRefusedError, UnsupportedParameterError)

ModelStream = AsyncGenerator[StreamEvent, None]


@dataclass(frozen=True, slots=True)
class FailoverModel:
    """Calls its models in order until one begins to answer; if that one fails later, the answer fails.

    Attributes:
        models: at least one.
        attempts: most attempts per model.
        total_timeout: seconds for the whole answer, all models and retries included.
    """

    models: Sequence[LanguageModel]
    breaker: CircuitBreaker
    attempts: int
    total_timeout: float

    @property
    def name(self) -> str:
        """Name of the first model."""
        return self.models[0].name

    @property
    def fallbacks(self) -> Sequence[str]:
        """Names of the other models, in order."""
        return [model.name for model in self.models[1:]]

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Stream the answer, or raise the failure of the last model that failed."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.total_timeout
        request = replace(request, deadline=end)
        failure: AppError | None = None
        for model in self.models:
            if failure and clock() >= end:
                break
            circuit = await self.breaker.admit(model.name)
            record_circuit(model.name, self.breaker.pause if circuit.state == "half_open" else circuit.retry_after)
            if circuit.state == "open":
                failure = failure or _unavailable(circuit)
                continue
            yield ModelAttempt(model.name)
            begun = False
            try:
                async with aclosing(self._ask(model, request, circuit)) as events:
                    async for event in events:
                        if not begun and not isinstance(event, Hidden):
                            begun = True
                            await self._close(model, circuit)
                        yield event
            except (UpstreamError, UnsupportedParameterError) as error:
                is_models_fault = await self._handle_failure(model, circuit, error, begun=begun)
                if begun or (not is_models_fault and failure is None):
                    raise
                if is_models_fault:  # a fallback that rejects the request must not hide the first failure
                    failure = error
            else:
                return
        raise failure or UpstreamFailedError("There is no language model to ask.")

    async def _ask(self, model: LanguageModel, request: ModelRequest, circuit: Circuit) -> ModelStream:
        """Stream the model's answer; retry failures that may pass, but only before the answer begins."""
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
                    raise UpstreamFailedError("The language model's answer ended without a finish reason.")
                return

    async def _handle_failure(self, model: LanguageModel, circuit: Circuit, error: AppError, *, begun: bool) -> bool:
        """Update the circuit after a failure and return whether the failure is the model's fault."""
        is_models_fault = begun or not isinstance(error, NOT_THE_MODELS_FAULT)
        if isinstance(error, UnsupportedParameterError | ProviderLimitError):
            await self._give_back(model, circuit)
        elif not is_models_fault:
            await self._close(model, circuit)
        if is_models_fault:
            await self._record_failure(model, error)
        return is_models_fault

    async def _record_failure(self, model: LanguageModel, error: AppError) -> None:
        if isinstance(error, ProviderLimitError):
            return  # the model was not called, so the failure says nothing about it
        count_failure(model.name, error.code)
        if await self.breaker.note_failure(model.name):
            record_circuit(model.name, self.breaker.pause)
            log.warning("circuit.opened", model=model.name, code=error.code)

    async def _give_back(self, model: LanguageModel, circuit: Circuit) -> None:
        """Return the trial, since the model was not called."""
        if circuit.state == "half_open":
            await self.breaker.give_back(model.name)

    async def _close(self, model: LanguageModel, circuit: Circuit) -> None:
        """Close the circuit after a successful trial."""
        if circuit.state == "half_open":
            await self.breaker.close(model.name)
            record_circuit(model.name, 0)
            log.info("circuit.closed", model=model.name)


def _wait_before_retry(error: Exception) -> bool | float:
    """Return whether to retry the same model; if its provider sent a Retry-After, the seconds to wait."""
    if not isinstance(error, UpstreamError) or not error.retryable:
        return False
    if isinstance(error, UpstreamTimeoutError | ProviderLimitError):
        return False  # the request has already waited for a silent model, or for its turn
    if error.retry_after is None:
        return True
    if error.retry_after > LONGEST_WAIT:
        return False
    return error.retry_after + random.uniform(0, JITTER)  # noqa: S311 - not used for security


def _unavailable(circuit: Circuit) -> UnavailableError:
    seconds = math.ceil(circuit.retry_after)
    return UnavailableError("The language model is unavailable; try again later.", retry_after=max(seconds, 1))
