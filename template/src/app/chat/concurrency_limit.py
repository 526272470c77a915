"""So many calls to language models at a time."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from app.chat.metrics import count_rejection
from app.chat.ports import LanguageModel, ModelRequest, StreamEvent
from app.errors import OverloadedError
from app.usage.settings import LimitsSettings


def cap_calls(models: Mapping[str, LanguageModel], settings: LimitsSettings) -> Mapping[str, LanguageModel]:
    """Hold models to the configured number of calls, all of them together."""
    if not settings.concurrent_calls:
        return models
    free = asyncio.Semaphore(settings.concurrent_calls)
    return {name: CappedLanguageModel(model, free, settings.longest_wait) for name, model in models.items()}


class CappedLanguageModel:
    """A model that answers while a place is free; others wait, and give up after a while."""

    def __init__(self, model: LanguageModel, free: asyncio.Semaphore, longest_wait: float) -> None:
        self._model = model
        self._free = free
        self._longest_wait = longest_wait

    @property
    def name(self) -> str:
        """The model's own name."""
        return self._model.name

    @property
    def stand_ins(self) -> Sequence[str]:
        """The model's own."""
        return self._model.stand_ins

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer as the model does.

        Raises:
            OverloadedError: no other call ended in time.
        """
        async with self._place(), aclosing(self._model.stream(request)) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
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
