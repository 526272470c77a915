"""Fakes of the ports that answers use, and passages for them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID, uuid4

from app.answers.retrieval import Filters, Passage
from app.auth.caller import Caller, Scope
from app.chat.ports import Finished, FinishReason, ModelRequest, TextDelta, Usage
from app.errors import ConflictError, NotFoundError
from app.prompts.service import FilledPrompt, PromptChoice
from app.prompts.templates import fill
from app.usage.admission import Admission, Hold
from app.usage.measurement import Expectation, Measurement

DOCUMENT = (
    "Terms of sale\n\nThe warranty lasts 24 months. It covers the battery [2], but not the cable.\n\n"
    "Goods can be returned within 30 days. The buyer pays for the parcel."
)
DOCUMENT_ID = uuid4()


def passage(start: int = 0, end: int = len(DOCUMENT), text: str = DOCUMENT, page: int | None = 1) -> Passage:
    """Return a passage cut out of a document."""
    return Passage(uuid4(), DOCUMENT_ID, "terms.txt", text[start:end], 0.8, start, end, page)


def passage_of(words: str) -> Passage:
    """Return the passage of the document with these words."""
    start = DOCUMENT.index(words)
    return passage(start, start + len(words))


def caller() -> Caller:
    """Return a caller with all account scopes."""
    return Caller(UUID(int=1))


@dataclass
class FakeRetrieval:
    """A retrieval that returns the given passages or raises the given failure."""

    passages: Sequence[Passage] = ()
    failure: Exception | None = None
    asked: list[tuple[str, UUID, int, Filters | None]] = field(default_factory=list)

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Return the first `top_k` passages."""
        self.asked.append((query, caller.id, top_k, filters))
        if self.failure:
            raise self.failure
        return list(self.passages[:top_k])


@dataclass
class FakeLanguageModel:
    """A model that streams its lines, then finishes, fails, falls silent or stops without an end."""

    lines: Sequence[str] = ()
    failure: Exception | None = None
    silent: bool = False
    finishes: bool = True
    reason: FinishReason = "stop"
    requests: list[ModelRequest] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    name: str = "fake:model"
    fallbacks: Sequence[str] = ()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """Stream the lines, then end as configured."""
        self.requests.append(request)
        try:
            for line in self.lines:
                yield TextDelta(line)
            if self.silent:
                await asyncio.Event().wait()
            if self.failure:
                raise self.failure
            if self.finishes:
                yield Finished(self.reason, Usage(10, 5), "fake:model-1")
        finally:
            self.closed.set()


@dataclass
class FakeUsage:
    """Usage that records in memory and admits everyone, unless it has a refusal."""

    refusal: Exception | None = None
    ceiling: int | None = None
    measurements: list[Measurement] = field(default_factory=list)
    released: list[Admission] = field(default_factory=list)

    def longest_answer(self, *, caller: Caller) -> int | None:
        """Return the ceiling for every caller."""
        return self.ceiling

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Admit a request, or raise the refusal."""
        if self.refusal:
            raise self.refusal
        return Admission(caller, expected, Hold(uuid4(), date.min, None), taken=None)

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Remember a measurement."""
        self.measurements.append(measurement)

    async def release(self, admission: Admission) -> None:
        """Remember a released admission."""
        self.released.append(admission)


@dataclass
class FakePrompts:
    """Prompts in memory: the texts of versions, the active version of each name, and the drafts."""

    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    active: dict[str, int] = field(default_factory=dict)
    drafts: set[tuple[str, int]] = field(default_factory=set)

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Return a prompt with its variables filled in."""
        version = choice.version if choice.version is not None else self.active.get(choice.name)
        if version is None or (choice.name, version) not in self.texts:
            raise NotFoundError("There is no such prompt.")
        if (choice.name, version) in self.drafts and Scope.PROMPTS_WRITE not in caller.scopes:
            raise ConflictError("It is a draft.")
        return FilledPrompt(choice.name, version, fill(self.texts[choice.name, version], choice.variables))

    async def find_active(self, name: str) -> FilledPrompt | None:
        """Return the active version of a prompt, if any."""
        version = self.active.get(name)
        return None if version is None else FilledPrompt(name, version, fill(self.texts[name, version], {}))
