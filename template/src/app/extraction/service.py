"""Extracting data from callers' texts."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.auth.caller import Caller, Scope
from app.errors import ExtractionFailedError, ModelNotFoundError, UnprocessableError, UnsupportedParameterError
from app.extraction.extractor import Extractor, Outcome, Task
from app.extraction.form import read_form

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks to be done with a text.

    Attributes:
        schema: a JSON Schema, as it came.
        max_attempts: None for as many as the service allows.
    """

    schema: Mapping[str, Any]
    instructions: str | None
    model: str
    max_attempts: int | None


@dataclass(frozen=True, slots=True)
class ExtractionService:
    """Turns texts into data of the caller's shape."""

    extractor: Extractor

    async def extract(self, text: str, wish: Wish, *, caller: Caller) -> Outcome:
        """Extract data that fits the caller's schema.

        Raises:
            ForbiddenError: the caller may not ask.
            SchemaRefusedError: the schema is wrong, or more than the service takes.
            UnprocessableError: the text is too long.
            UnsupportedParameterError: so many attempts are not allowed, or the model cannot write JSON.
            ModelNotFoundError: there is no such model.
            ExtractionFailedError: no answer of the model fits.
            UpstreamError: the model failed.
        """
        caller.require(Scope.EXTRACTIONS)
        task = await self._task(text, wish)
        outcome = await self.extractor.extract(task, caller=caller)
        if outcome.faults:
            raise ExtractionFailedError(outcome.attempts, outcome.faults)
        return outcome

    async def _task(self, text: str, wish: Wish) -> Task:
        name, settings = self.extractor.language_model.name, self.extractor.settings
        models = list(dict.fromkeys((DEFAULT, name, name.partition(":")[2])))
        if wish.model not in models:
            raise ModelNotFoundError(f"There is no such model; this service has {', '.join(models)}.")
        most = settings.max_attempts
        if wish.max_attempts is not None and wish.max_attempts > most:
            raise UnsupportedParameterError(f"There may be at most {most} attempts here.", param="max_attempts")
        if len(text) > settings.max_characters:
            raise UnprocessableError(f"A text may have at most {settings.max_characters:,} characters here.")
        form = await asyncio.to_thread(read_form, wish.schema)
        return Task(text, form, wish.instructions, wish.max_attempts or most)
