"""Caching of answers: one request generates an answer, identical concurrent requests wait for it."""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from uuid import uuid4

from app.cancellation import cancel_and_wait
from app.chat.answer_cache import AnswerCache, CachedAnswer
from app.chat.metrics import count_cache_lookup
from app.chat.ports import Finished, ModelEvent, ModelRequest, TextDelta, ToolCallDelta
from app.chat.settings import AnswerCacheSettings
from app.errors import AppError, UnsupportedParameterError
from app.response_headers import add_response_headers

HEADER = "X-Answer-Cache"
WHOLE = ("stop", "tool_calls")  # finish reasons of complete answers
JITTER = 0.1  # largest share by which a lifetime is shortened at random, so that not all answers expire together

LEASE = 6.0  # seconds after which the claim of a dead process expires
# Seconds between polls for an answer that another request generates: the first pause and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5

Answering = AbstractAsyncContextManager[AsyncGenerator[ModelEvent, None]]


@dataclass(frozen=True, slots=True)
class CachePreference:
    """The caller's choice about caching an answer.

    Attributes:
        is_enabled: whether a cached answer may be returned and a new one stored.
        seconds: lifetime in the cache; None for the service's default.
    """

    is_enabled: bool
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Caching:
    """Answers requests from the cache, and fills it.

    Attributes:
        lease: seconds for which a claim is held without renewal.
        chance: returns a random number from 0 to below 1.
    """

    cache: AnswerCache
    settings: AnswerCacheSettings
    lease: float = LEASE
    chance: Callable[[], float] = random.random

    def seconds_for(self, request: ModelRequest, alias: str, preference: CachePreference | None) -> int:
        """Return for how many seconds an answer may be cached; 0 if it must come from the model.

        Without a preference, answers are cached only for the configured aliases and only at temperature 0. A caller who
        enables caching gets the cached answer at any temperature.

        Raises:
            UnsupportedParameterError: the requested lifetime exceeds `max_ttl`.
        """
        most = self.settings.max_ttl
        if preference is None:
            return min(self.settings.ttl, most) if alias in self.settings.aliases and request.temperature == 0 else 0
        if not preference.is_enabled:
            return 0
        if preference.seconds is not None and preference.seconds > most:
            raise UnsupportedParameterError(f"Answers are cached for at most {most} s here.", param="cache.ttl")
        return preference.seconds or min(self.settings.ttl, most)

    async def stream(
        self, key: str, seconds: int, answering: Answering, note: Callable[[Finished, float], Awaitable[None]]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the cached answer, or the model's, which is then cached if it is complete.

        Args:
            key: key of the answer.
            seconds: lifetime of a new answer in the cache.
            answering: context with the model's answer; the model is called only when it is entered.
            note: records a cached answer against the caller's account; gets its end and the seconds of the lookup.
        """
        started, token = time.monotonic(), uuid4().hex
        kept, is_claimed = await self._find_or_claim(key, token)
        if kept is None or is_claimed:
            has_begun = False
            try:
                async with aclosing(self._generate(key, token, seconds, answering)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
            except AppError:
                # An early refresh failed: the cached answer is still valid.
                if kept is None or has_begun:
                    raise
            else:
                return
        await note(kept.end, round(time.monotonic() - started, 4))
        count_cache_lookup("hit")
        add_response_headers({HEADER: "hit", "Age": str(int(kept.age))})
        for piece in kept.pieces:
            yield piece
        yield kept.end

    async def _find_or_claim(self, key: str, token: str) -> tuple[CachedAnswer | None, bool]:
        """Return the cached answer, if any, and whether this request has the claim; wait at most `longest_wait`."""
        give_up, pause = time.monotonic() + self.settings.longest_wait, FIRST_PAUSE
        while True:
            kept = await self.cache.find(key)
            if kept is not None and not self._is_due(kept):
                return kept, False
            claim = await self.cache.claim(key, token, self.lease)
            if claim == "granted" and kept is None:
                kept = await self.cache.find(key)  # it may have been stored since the first lookup
                if kept is not None:
                    await self.cache.release(key, token, call_off=False)
                    return kept, False
            if claim != "taken" or kept is not None or time.monotonic() >= give_up:
                return kept, claim == "granted"
            add_response_headers({HEADER: "wait"})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_due(self, kept: CachedAnswer) -> bool:
        """Return whether to refresh an answer early: more likely the closer it is to expiry and the longer it takes.

        This is XFetch with beta = 1: A. Vattani, F. Chierichetti, K. Lowenstein, “Optimal Probabilistic Cache
        Stampede Prevention”, PVLDB 8(8), 2015.
        """
        return -kept.took * math.log(1 - self.chance()) >= kept.left

    async def _generate(
        self, key: str, token: str, seconds: int, answering: Answering
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the model's answer and store it before yielding its end."""
        count_cache_lookup("miss")
        add_response_headers({HEADER: "miss"})
        writing, is_over = _AnswerBuffer(self.settings.max_bytes), False
        call_off = True
        try:
            async with self._renewing(key, token), answering as events:
                async for event in events:
                    if isinstance(event, Finished):
                        is_over = True
                        if event.reason in WHOLE and writing.fits:
                            await self.cache.keep(key, writing.kept(event, seconds * (1 - JITTER * self.chance())))
                    else:
                        writing.add(event)
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            call_off = is_over  # after a disconnect, the next waiting request may claim it
            raise
        finally:
            await self.cache.release(key, token, call_off=call_off)

    @asynccontextmanager
    async def _renewing(self, key: str, token: str) -> AsyncIterator[None]:
        """Renew the claim in the background while the block runs."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self.lease / 3)
                await self.cache.renew(key, token, self.lease)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            await cancel_and_wait(renewing)


@dataclass(slots=True)
class _AnswerBuffer:
    """Collects the pieces of an answer, unless it becomes too large for the cache."""

    most: int
    started: float = field(default_factory=time.monotonic)
    size: int = 0
    pieces: list[TextDelta | ToolCallDelta] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        return self.size <= self.most

    def add(self, piece: TextDelta | ToolCallDelta) -> None:
        self.size += len(piece.text if isinstance(piece, TextDelta) else piece.arguments)
        if self.fits:
            self.pieces.append(piece)
        else:
            self.pieces.clear()

    def kept(self, finished: Finished, life: float) -> CachedAnswer:
        """Return the answer for the cache, with consecutive pieces of text joined."""
        pieces: list[TextDelta | ToolCallDelta] = []
        for kind, group in groupby(self.pieces, key=type):
            if kind is TextDelta:
                pieces.append(TextDelta("".join(piece.text for piece in group if isinstance(piece, TextDelta))))
            else:
                pieces.extend(group)
        return CachedAnswer(pieces, finished, time.monotonic() - self.started, life, life)
