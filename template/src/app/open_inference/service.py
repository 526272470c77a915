"""Tensor inference for callers, and loading and unloading models for the operator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from app.auth.caller import Caller, Scope
from app.inference.model_repository import ModelRepository
from app.inference.served_models import ServedModels
from app.inference.tensor_model import Inferred, ServedModel
from app.open_inference.messages import Message, ParsedRequest, read_request, write_answer
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder
from app.threads import run_in_thread_if_large

# Up to this many bytes are parsed or serialized on the event loop: faster than using a thread.
AT_ONCE = 20_000
# The most values that a recorded prediction contains; for larger outputs only the shapes are recorded.
MOST_KEPT_VALUES = 2000


@dataclass(frozen=True, slots=True)
class Inference:
    """The response to an inference request, with the model and its outputs and times."""

    message: Message
    model: ServedModel
    inferred: Inferred


@dataclass(frozen=True, slots=True)
class OpenInferenceService:
    """Describe models, run callers' tensors through them, and load and unload models for the operator."""

    repository: ModelRepository
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    @property
    def models(self) -> ServedModels:
        """The served models."""
        return self.repository.served

    def describe(self, name: str, version: str | None, *, caller: Caller) -> ServedModel:
        """Return a model, by default its newest version.

        Raises:
            ForbiddenError: the caller lacks the scope `inference`.
            ModelNotFoundError: there is no such model or version.
        """
        caller.require(Scope.INFERENCE)
        return self.models.find(name, version)

    async def infer(self, name: str, version: str | None, message: Message, *, caller: Caller) -> Inference:
        """Run the tensors of a request, and record the prediction if recording is enabled.

        Raises:
            ForbiddenError: the caller lacks the scope `inference`.
            ModelNotFoundError: there is no such model or version.
            OverloadedError: the model cannot answer in time.
            PayloadTooLargeError: the JSON has too many values.
            UnprocessableError: the request is invalid or does not fit the model.
            UpstreamError: the remote server that runs the model did not answer.
        """
        caller.require(Scope.INFERENCE)
        with self.models.lease(name, version) as model:
            read = partial(read_request, message, model.signature)
            parsed = await run_in_thread_if_large(read, size=len(message.content), at_once=AT_ONCE)
            inferred = await model.infer(parsed.tensors, owner=caller.id)
        size = sum(tensor.nbytes for tensor in inferred.outputs)
        write = partial(write_answer, model, parsed, inferred)
        answer = await run_in_thread_if_large(write, size=size, at_once=AT_ONCE)
        await self.recorder.record(partial(_outcomes, message, model, parsed, inferred), caller=caller)
        return Inference(answer, model, inferred)

    async def index(self, *, caller: Caller) -> Mapping[tuple[str, str], bool]:
        """Return for every model, by name and version, whether it is served; raises what the repository raises."""
        caller.require(Scope.MODELS)
        return await self.repository.index()

    async def load(self, name: str, *, caller: Caller) -> None:
        """Load or reload a model from its folders; raises what the repository raises."""
        caller.require(Scope.MODELS)
        await self.repository.load(name)

    async def unload(self, name: str, *, caller: Caller) -> None:
        """Unload a model; raises what the repository raises."""
        caller.require(Scope.MODELS)
        await self.repository.unload(name)


def _outcomes(message: Message, model: ServedModel, parsed: ParsedRequest, inferred: Inferred) -> Iterator[Outcome]:
    """Yield the outcome to record, with the values of small outputs and only the shapes of large ones."""
    outputs: list[dict[str, object]] = []
    few = sum(inferred.outputs[each.place].size for each in parsed.outputs) <= MOST_KEPT_VALUES
    for requested in parsed.outputs:
        spec, tensor = model.signature.outputs[requested.place], inferred.outputs[requested.place]
        output: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": list(tensor.shape)}
        if few:
            output["data"] = tensor.ravel().tolist()
        outputs.append(output)
    yield Outcome("inference", model.name, model.version, sha256_of(message.content), {"outputs": outputs})
