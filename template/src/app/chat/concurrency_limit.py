"""The limit on concurrent calls to language models in this process."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from app.chat.metrics import count_rejection
from app.chat.ports import LanguageModel, ModelRequest, StreamEvent
from app.errors import OverloadedError
from app.usage.settings import LimitsSettings


def limit_concurrency(models: Mapping[str, LanguageModel], settings: LimitsSettings) -> Mapping[str, LanguageModel]:
    """Limit the concurrent calls to all models together; 0 in the settings sets no limit."""
    if not settings.concurrent_calls:
        return models
    free = asyncio.Semaphore(settings.concurrent_calls)
    return {name: ConcurrencyLimitedModel(model, free, settings.longest_wait) for name, model in models.items()}


class ConcurrencyLimitedModel:
    """A model behind a semaphore; calls that wait longer than `longest_wait` seconds fail."""

    def __init__(self, model: LanguageModel, free: asyncio.Semaphore, longest_wait: float) -> None:
        self._model = model
        self._free = free
        self._longest_wait = longest_wait

    @property
    def name(self) -> str:
        """Name of the wrapped model."""
        return self._model.name

    @property
    def fallbacks(self) -> Sequence[str]:
        """Fallbacks of the wrapped model."""
        return self._model.fallbacks

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Stream the model's answer as soon as a slot is free.

        Raises:
            OverloadedError: no slot became free in time; other errors come from the model.
        """
        async with self._slot(), aclosing(self._model.stream(request)) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._longest_wait):
                await self._free.acquire()
        except TimeoutError:
            count_rejection(self.name)
            raise OverloadedError(
                "The language model has too much to do at the moment.",
                retry_after=max(1, math.ceil(self._longest_wait)),
            ) from None
        try:
            yield
        finally:
            self._free.release()
