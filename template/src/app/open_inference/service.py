"""Running callers' tensors through models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from app.auth.caller import Caller, Scope
from app.inference.model_repository import ModelRepository
from app.inference.served_models import ServedModels
from app.inference.tensor_model import Inferred, ServedModel
from app.open_inference.messages import Asked, Message, read_request, write_answer
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder
from app.threads import run_in_thread_if_large

# So few bytes are read and written faster than a thread is reached.
AT_ONCE = 20_000
# Values of one answer that are kept, where predictions are; of more, the shapes alone.
MOST_KEPT_VALUES = 2000


@dataclass(frozen=True, slots=True)
class Inference:
    """An answer, what made it, and its times."""

    message: Message
    model: ServedModel
    inferred: Inferred


@dataclass(frozen=True, slots=True)
class OpenInferenceService:
    """Describes models, lets them run what callers send, and loads and unloads them for the operator."""

    repository: ModelRepository
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    @property
    def models(self) -> ServedModels:
        """What is served."""
        return self.repository.served

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
        caller.require(Scope.INFERENCE)
        with self.models.lease(name, version) as model:
            read = partial(read_request, message, model.signature)
            asked = await run_in_thread_if_large(read, size=len(message.content), at_once=AT_ONCE)
            inferred = await model.infer(asked.tensors, owner=caller.id)
        size = sum(tensor.nbytes for tensor in inferred.outputs)
        answer = await run_in_thread_if_large(partial(write_answer, model, asked, inferred), size=size, at_once=AT_ONCE)
        await self.recorder.record(partial(_outcomes, message, model, asked, inferred), caller=caller)
        return Inference(answer, model, inferred)

    async def index(self, *, caller: Caller) -> Mapping[tuple[str, str], bool]:
        """Tell of every model, by name and version, whether it is served; raises what the repository raises."""
        caller.require(Scope.MODELS)
        return await self.repository.index()

    async def load(self, name: str, *, caller: Caller) -> None:
        """Serve a model as its folders have it now; raises what the repository raises."""
        caller.require(Scope.MODELS)
        await self.repository.load(name)

    async def unload(self, name: str, *, caller: Caller) -> None:
        """Serve a model no more; raises what the repository raises."""
        caller.require(Scope.MODELS)
        await self.repository.unload(name)


def _outcomes(message: Message, model: ServedModel, asked: Asked, inferred: Inferred) -> Iterator[Outcome]:
    """Tell what came out; large tensors by their shapes alone."""
    outputs: list[dict[str, object]] = []
    few = sum(inferred.outputs[each.place].size for each in asked.outputs) <= MOST_KEPT_VALUES
    for wanted in asked.outputs:
        spec, tensor = model.signature.outputs[wanted.place], inferred.outputs[wanted.place]
        output: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": list(tensor.shape)}
        if few:
            output["data"] = tensor.ravel().tolist()
        outputs.append(output)
    yield Outcome("inference", model.name, model.version, sha256_of(message.content), {"outputs": outputs})
