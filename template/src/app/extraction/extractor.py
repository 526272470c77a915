"""The extractor: asks a model for JSON, and again with its errors, until the JSON matches the schema."""

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
from app.extraction.compiled_schema import WHOLE, CompiledSchema, Fault, compile_schema
from app.extraction.prompts import compose, correct
from app.extraction.replies import judge
from app.extraction.settings import ExtractionSettings
from app.guardrails.service import Guardrails
from app.prompts.service import FilledPrompt

ENDPOINT = "extractions"
NAME = "extraction"


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """The options of an extraction, as the caller requested them.

    Attributes:
        schema: the unmodified JSON Schema.
        instructions: additional instructions for the model.
        model: name of the model.
        max_attempts: most answers per text; None for the service's limit.
        on_failure: whether an answer that never matches the schema is an error or goes to review.
        max_tokens: most tokens per answer, if the caller's scopes set a limit; a job no longer knows the scopes.
        prompt: the stored prompt as of the request; replaces `instructions`.
    """

    schema: Mapping[str, Any]
    instructions: str | None
    model: str
    max_attempts: int | None
    on_failure: Literal["error", "review"]
    max_tokens: int | None = None
    prompt: FilledPrompt | None = None

    @property
    def instruction_text(self) -> str | None:
        """The instructions or the stored prompt, which precede the schema."""
        return self.prompt.text if self.prompt else self.instructions


def read_options(kept: Mapping[str, Any]) -> ExtractionOptions:
    """Restore the options that a batch has stored, possibly in an older release."""
    prompt = kept.get("prompt")
    return ExtractionOptions(**{**kept, "prompt": FilledPrompt(**prompt) if prompt else None})


@dataclass(frozen=True, slots=True)
class Plan:
    """Checked options, with the compiled schema, the model and its guardrails."""

    compiled: CompiledSchema
    instructions: str | None
    prompt: FilledPrompt | None
    language_model: LanguageModel
    guardrails: Guardrails
    max_attempts: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an extraction.

    Attributes:
        data: the last answer as JSON, which matches the schema if there are no faults; None if it is not JSON.
        faults: errors of the last answer.
        answer: unmodified text of the last answer.
        model: the model that answered.
        attempts: number of answers.
        usage: tokens of all attempts together.
        prompt: the stored prompt that was used.
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
    """Extracts data with a language model, and has it correct wrong answers.

    Attributes:
        language_models: models by every name under which they can be requested.
    """

    language_models: Mapping[str, LanguageModel]
    usage: UsageRecorder
    settings: ExtractionSettings
    guardrails: Guardrails = field(default_factory=Guardrails)

    async def plan(self, options: ExtractionOptions) -> Plan:
        """Check the options and return the plan of the extraction.

        Raises:
            SchemaRefusedError: the schema is invalid, unsupported or too large.
            ModelNotFoundError: there is no such model.
            UnsupportedParameterError: `max_attempts` exceeds the service's limit.
        """
        if options.model not in self.language_models:
            names = ", ".join(self.language_models)
            raise ModelNotFoundError(f"There is no such language model; this service has {names}.")
        most = self.settings.max_attempts
        if options.max_attempts is not None and options.max_attempts > most:
            raise UnsupportedParameterError(f"There may be at most {most} attempts here.", param="max_attempts")
        compiled = await asyncio.to_thread(compile_schema, options.schema)
        longest = self.settings.max_output_tokens
        return Plan(
            compiled,
            options.instruction_text,
            options.prompt,
            self.language_models[options.model],
            self.guardrails.of(options.model),
            options.max_attempts or most,
            min(longest, options.max_tokens or longest),
        )

    async def extract(self, text: str, plan: Plan, *, caller: Caller) -> Outcome:
        """Ask the model until its answer matches the schema or the attempts are used up; every answer is metered.

        Raises:
            UnsupportedParameterError: the model does not support JSON output.
            GuardrailRefusedError: a check refuses the text or an answer.
            RefusedByModelError: the model's provider rejects the request, such as its schema.
            TooManyRequestsError: a rate limit or the month's budget of the caller is exhausted.
            UpstreamError: the model failed.
        """
        opening = compose(text, plan.compiled, plan.instructions)
        messages, spent, attempts = opening, Usage(0, 0), 0
        while True:
            request = ModelRequest(
                messages=messages,
                max_tokens=plan.max_tokens,
                response_format=JsonSchema(NAME, plan.compiled.schema),
            )
            answer, end = await self._ask(plan, request, caller, is_retry=attempts > 0)
            attempts, spent = attempts + 1, _sum(spent, end.usage)
            data, faults = await asyncio.to_thread(judge, answer, plan.compiled)
            if faults and end.reason != "stop":
                faults = [*faults, Fault(WHOLE, f"The answer ended early (finish reason: {end.reason}).")]
            if not faults or attempts == plan.max_attempts:
                return Outcome(data, faults, answer, end.model, attempts, spent, plan.prompt)
            # Only the last wrong answer is sent back: sending all would cost more with each attempt.
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
        raise UpstreamFailedError("The language model's answer ended without a finish reason.")


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.cached_tokens + other.cached_tokens,
    )
