"""Asking a model for data until it fits, or until it has had its chances."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from app.auth.caller import Caller
from app.chat.metering import metered
from app.chat.ports import Finished, JsonSchema, LanguageModel, ModelRequest, TextDelta, Usage, UsageRecorder
from app.errors import (
    Fault,
    RefusedByModelError,
    RequestRefusedError,
    UnsupportedParameterError,
    UpstreamFailedError,
)
from app.extraction.form import Form
from app.extraction.prompts import compose, correct
from app.extraction.replies import WHOLE, judge
from app.extraction.settings import ExtractionSettings

ENDPOINT = "extractions"
NAME = "extraction"


@dataclass(frozen=True, slots=True)
class Task:
    """What is wanted of a model.

    Attributes:
        instructions: what the caller adds to the rules.
        max_attempts: answers that the model may give.
    """

    text: str
    form: Form
    instructions: str | None
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        data: fits the form if there are no faults; None if the answer is not even JSON.
        faults: what is wrong with the last answer.
        answer: the last one, as it was written.
        usage: of all attempts together.
    """

    data: Any
    faults: Sequence[Fault]
    answer: str
    model: str
    attempts: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Extractor:
    """Has a language model write JSON, and tells it what is wrong."""

    language_model: LanguageModel
    usage: UsageRecorder
    settings: ExtractionSettings

    async def extract(self, task: Task, *, caller: Caller) -> Outcome:
        """Ask until the answer fits, as often as the task allows; every answer is on the caller's account.

        Raises:
            UnsupportedParameterError: the model cannot write JSON.
            RefusedByModelError: the model's provider finds fault with the request, such as the schema.
            UpstreamError: the model failed.
        """
        opening = compose(task.text, task.form, task.instructions)
        messages, spent, attempts = opening, Usage(0, 0), 0
        while True:
            request = ModelRequest(
                messages=messages,
                max_tokens=self.settings.max_output_tokens,
                response_format=JsonSchema(NAME, task.form.schema),
            )
            answer, end = await self._ask(request, caller)
            attempts, spent = attempts + 1, _sum(spent, end.usage)
            data, faults = await asyncio.to_thread(judge, answer, task.form)
            if faults and end.reason != "stop":
                faults = [*faults, Fault(WHOLE, f"The answer ended early (finish reason: {end.reason}).")]
            if not faults or attempts == task.max_attempts:
                return Outcome(data, faults, answer, end.model, attempts, spent)
            # The last wrong answer is enough to learn from; all of them would cost more with each attempt.
            messages = [*opening, *correct(answer, faults)]

    async def _ask(self, request: ModelRequest, caller: Caller) -> tuple[str, Finished]:
        pieces: list[str] = []
        events = metered(self.language_model, request, endpoint=ENDPOINT, caller=caller, usage=self.usage)
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TextDelta):
                        pieces.append(event.text)
                    elif isinstance(event, Finished):
                        return "".join(pieces), event
        except UnsupportedParameterError as error:
            raise UnsupportedParameterError(error.detail, param="model") from None
        except RequestRefusedError as error:
            raise RefusedByModelError(error.detail) from None
        raise UpstreamFailedError("The language model's answer has no end.")


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.cached_tokens + other.cached_tokens,
    )
