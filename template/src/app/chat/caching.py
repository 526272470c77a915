"""Giving answers again: one request gets an answer from the model, those who ask the same meanwhile wait for it."""

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
from app.chat.answer_cache import AnswerCache, KeptAnswer
from app.chat.metrics import count_cache_lookup
from app.chat.ports import Finished, ModelEvent, ModelRequest, TextDelta, ToolCallDelta
from app.chat.settings import AnswerCacheSettings
from app.errors import AppError, UnsupportedParameterError
from app.response_headers import add_response_headers

HEADER = "X-Answer-Cache"
WHOLE = ("stop", "tool_calls")  # the reasons of answers that have all that the model wanted to say
JITTER = 0.1  # the share of its time by which an answer may go earlier, so that not all go together

LEASE = 6.0  # seconds after which a claim whose process died is free
# Seconds between looks at what somebody else is getting: the first, and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5

Answering = AbstractAsyncContextManager[AsyncGenerator[ModelEvent, None]]


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What a caller says about keeping an answer.

    Attributes:
        is_wanted: whether it may be a kept one, and is kept otherwise.
        seconds: for how long; None leaves it to the service.
    """

    is_wanted: bool
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Caching:
    """Keeps answers, and gives them again.

    Attributes:
        chance: gives a number from 0 to below 1.
    """

    cache: AnswerCache
    settings: AnswerCacheSettings
    lease: float = LEASE
    chance: Callable[[], float] = random.random

    def seconds_for(self, request: ModelRequest, alias: str, wish: CacheWish | None) -> int:
        """Say how long an answer may be kept; 0 where it must come from the model.

        An answer is kept by itself only where the operator says so of the alias and the temperature is 0. Whoever asks
        for it in the request takes the same answer again at any temperature.

        Raises:
            UnsupportedParameterError: no answer is kept that long.
        """
        most = self.settings.max_ttl
        if wish is None:
            return min(self.settings.ttl, most) if alias in self.settings.aliases and request.temperature == 0 else 0
        if not wish.is_wanted:
            return 0
        if wish.seconds is not None and wish.seconds > most:
            raise UnsupportedParameterError(f"Answers are kept for at most {most} s here.", param="cache.ttl")
        return wish.seconds or min(self.settings.ttl, most)

    async def stream(
        self, key: str, seconds: int, answering: Answering, note: Callable[[Finished, float], Awaitable[None]]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Give the kept answer, or the model's, which is then kept if it is whole.

        Args:
            key: of the answer.
            seconds: for which it is kept.
            answering: the model's answer; nothing is asked of the model before it is entered.
            note: puts a kept answer on the caller's account, with the seconds that it took to find it.
        """
        started, token = time.monotonic(), uuid4().hex
        kept, is_claimed = await self._find_or_claim(key, token)
        if kept is None or is_claimed:
            has_begun = False
            try:
                async with aclosing(self._get(key, token, seconds, answering)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
            except AppError:
                # Who was to replace an answer before its time has one to give.
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

    async def _find_or_claim(self, key: str, token: str) -> tuple[KeptAnswer | None, bool]:
        """Find the answer or take on getting it, waiting for whoever does, but not for too long."""
        give_up, pause = time.monotonic() + self.settings.longest_wait, FIRST_PAUSE
        while True:
            kept = await self.cache.find(key)
            if kept is not None and not self._is_due(kept):
                return kept, False
            claim = await self.cache.claim(key, token, self.lease)
            if claim == "granted" and kept is None:
                kept = await self.cache.find(key)  # it may have come between the two questions
                if kept is not None:
                    await self.cache.release(key, token, call_off=False)
                    return kept, False
            if claim != "taken" or kept is not None or time.monotonic() >= give_up:
                return kept, claim == "granted"
            add_response_headers({HEADER: "wait"})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_due(self, kept: KeptAnswer) -> bool:
        """Tell whether to replace an answer now: the more likely, the less time is left and the longer it takes.

        The rule is XFetch with beta = 1: A. Vattani, F. Chierichetti, K. Lowenstein, “Optimal Probabilistic Cache
        Stampede Prevention”, PVLDB 8(8), 2015.
        """
        return -kept.took * math.log(1 - self.chance()) >= kept.left

    async def _get(self, key: str, token: str, seconds: int, answering: Answering) -> AsyncGenerator[ModelEvent, None]:
        """Have the model answer, and keep that before its end is passed on."""
        count_cache_lookup("miss")
        add_response_headers({HEADER: "miss"})
        writing, is_over = _Writing(self.settings.max_bytes), False
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
            call_off = is_over  # who leaves in the middle hands on to the next one
            raise
        finally:
            await self.cache.release(key, token, call_off=call_off)

    @asynccontextmanager
    async def _renewing(self, key: str, token: str) -> AsyncIterator[None]:
        """Hold the claim while the block runs, however long that is."""

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
class _Writing:
    """Remembers an answer while it is written, as long as it is not too large to be kept."""

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

    def kept(self, finished: Finished, life: float) -> KeptAnswer:
        """Put pieces of text in a row together."""
        pieces: list[TextDelta | ToolCallDelta] = []
        for kind, group in groupby(self.pieces, key=type):
            if kind is TextDelta:
                pieces.append(TextDelta("".join(piece.text for piece in group if isinstance(piece, TextDelta))))
            else:
                pieces.extend(group)
        return KeptAnswer(pieces, finished, time.monotonic() - self.started, life, life)
