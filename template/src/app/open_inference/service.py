"""Running callers' tensors through models."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.auth.caller import Caller, Scope
from app.inference.served_models import ServedModels
from app.inference.tensor_model import Inferred, ServedModel
from app.open_inference.messages import Message, read_request, write_answer

Result = TypeVar("Result")

# So few bytes are read and written faster than a thread is reached.
AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Inference:
    """An answer, what made it, and its times."""

    message: Message
    model: ServedModel
    inferred: Inferred


@dataclass(frozen=True, slots=True)
class OpenInferenceService:
    """Describes models, and lets them run what callers send."""

    models: ServedModels

    def describe(self, name: str, version: str | None, *, caller: Caller) -> ServedModel:
        """Find a model.

        Raises:
            ForbiddenError: the caller may not.
            ModelNotFoundError: there is none such.
        """
        caller.require(Scope.INFERENCE)
        return self.models.find(name, version)

    async def infer(self, name: str, version: str | None, message: Message, *, caller: Caller) -> Inference:
        """Run the tensors of a request.

        Raises:
            ForbiddenError: the caller may not.
            ModelNotFoundError: there is no such model.
            OverloadedError: it has too much to do to answer in time.
            UnprocessableError: the request is not what the model takes.
        """
        model = self.describe(name, version, caller=caller)
        asked = await _in_thread(len(message.content), partial(read_request, message, model.signature))
        inferred = await model.infer(asked.tensors, owner=caller.id)
        size = sum(tensor.nbytes for tensor in inferred.outputs)
        answer = await _in_thread(size, partial(write_answer, model, asked, inferred))
        return Inference(answer, model, inferred)


async def _in_thread(size: int, work: Callable[[], Result]) -> Result:
    return work() if size <= AT_ONCE else await asyncio.to_thread(work)
