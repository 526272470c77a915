"""Asking a model for data until it fits, or until it has had its chances."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from app.auth.caller import Caller
from app.chat.guarding import check_request, guarded, redact_request
from app.chat.metering import metered
from app.chat.ports import Finished, JsonSchema, LanguageModel, ModelRequest, TextDelta, Usage, UsageRecorder
from app.errors import (
    ModelNotFoundError,
    RefusedByModelError,
    RequestRefusedError,
    UnsupportedParameterError,
    UpstreamFailedError,
)
from app.extraction.form import WHOLE, Fault, Form, read_form
from app.extraction.prompts import compose, correct
from app.extraction.replies import judge
from app.extraction.settings import ExtractionSettings
from app.guardrails.service import Guardrails
from app.prompts.service import FilledPrompt

ENDPOINT = "extractions"
NAME = "extraction"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks to be done with a text.

    Attributes:
        schema: a JSON Schema, as it came.
        instructions: what it does not say.
        max_attempts: None for as many as the service allows.
        on_failure: whether a person shall look at what never fits.
        max_tokens: of one answer, where the caller's scopes set a ceiling; a job no longer knows those scopes.
        prompt: the stored one, as it was when the request came; takes the place of `instructions`.
    """

    schema: Mapping[str, Any]
    instructions: str | None
    model: str
    max_attempts: int | None
    on_failure: Literal["error", "review"]
    max_tokens: int | None = None
    prompt: FilledPrompt | None = None

    @property
    def told(self) -> str | None:
        """What the model is told beside the schema."""
        return self.prompt.text if self.prompt else self.instructions


def read_wish(kept: Mapping[str, Any]) -> Wish:
    """Read a wish as a batch keeps it, perhaps since an older release."""
    prompt = kept.get("prompt")
    return Wish(**{**kept, "prompt": FilledPrompt(**prompt) if prompt else None})


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish that can be fulfilled."""

    form: Form
    told: str | None
    prompt: FilledPrompt | None
    language_model: LanguageModel
    guardrails: Guardrails
    max_attempts: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        data: fits the form if there are no faults; None if the answer is not even JSON.
        faults: what is wrong with the last answer.
        answer: the last one, as it was written.
        usage: of all attempts together.
        prompt: the stored one that the model was told.
    """

    data: Any
    faults: Sequence[Fault]
    answer: str
    model: str
    attempts: int
    usage: Usage
    prompt: FilledPrompt | None = None


@dataclass(frozen=True, slots=True)
class Extractor:
    """Has a language model write JSON, and tells it what is wrong.

    Attributes:
        language_models: by each name that they can be asked for.
    """

    language_models: Mapping[str, LanguageModel]
    usage: UsageRecorder
    settings: ExtractionSettings
    guardrails: Guardrails = field(default_factory=Guardrails)

    async def plan(self, wish: Wish) -> Plan:
        """See whether a wish can be fulfilled.

        Raises:
            SchemaRefusedError: the schema is wrong, or more than the service takes.
            ModelNotFoundError: there is no such model.
            UnsupportedParameterError: so many attempts are not allowed.
        """
        if wish.model not in self.language_models:
            names = ", ".join(self.language_models)
            raise ModelNotFoundError(f"There is no such language model; this service has {names}.")
        most = self.settings.max_attempts
        if wish.max_attempts is not None and wish.max_attempts > most:
            raise UnsupportedParameterError(f"There may be at most {most} attempts here.", param="max_attempts")
        form = await asyncio.to_thread(read_form, wish.schema)
        longest = self.settings.max_output_tokens
        return Plan(
            form,
            wish.told,
            wish.prompt,
            self.language_models[wish.model],
            self.guardrails.of(wish.model),
            wish.max_attempts or most,
            min(longest, wish.max_tokens or longest),
        )

    async def extract(self, text: str, plan: Plan, *, caller: Caller) -> Outcome:
        """Ask until the answer fits, as often as the plan allows; every answer is on the caller's account.

        Raises:
            UnsupportedParameterError: the model cannot write JSON.
            GuardrailRefusedError: a check refuses the text, or an answer.
            RefusedByModelError: the model's provider finds fault with the request, such as the schema.
            UpstreamError: the model failed.
        """
        opening = compose(text, plan.form, plan.told)
        messages, spent, attempts = opening, Usage(0, 0), 0
        while True:
            request = ModelRequest(
                messages=messages,
                max_tokens=plan.max_tokens,
                response_format=JsonSchema(NAME, plan.form.schema),
            )
            answer, end = await self._ask(plan, request, caller, is_retry=attempts > 0)
            attempts, spent = attempts + 1, _sum(spent, end.usage)
            data, faults = await asyncio.to_thread(judge, answer, plan.form)
            if faults and end.reason != "stop":
                faults = [*faults, Fault(WHOLE, f"The answer ended early (finish reason: {end.reason}).")]
            if not faults or attempts == plan.max_attempts:
                return Outcome(data, faults, answer, end.model, attempts, spent, plan.prompt)
            # The last wrong answer is enough to learn from; all of them would cost more with each attempt.
            messages = [*opening, *correct(answer, faults)]

    async def _ask(self, plan: Plan, request: ModelRequest, caller: Caller, *, is_retry: bool) -> tuple[str, Finished]:
        await check_request(request, plan.guardrails, owner=caller.id, is_retry=is_retry)
        request = await redact_request(request, plan.guardrails)
        model, usage = plan.language_model, self.usage
        asked = metered(model, request, endpoint=ENDPOINT, caller=caller, usage=usage, prompt=plan.prompt)
        pieces: list[str] = []
        try:
            async with asked as answer, aclosing(guarded(answer, plan.guardrails, request, owner=caller.id)) as events:
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
