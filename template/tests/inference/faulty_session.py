"""A real model that runs a fault injected by the test."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import FastAPI

from app.adapters.model_session import open_model_session
from app.bootstrap import Ports, Services, build_services
from app.inference.capacity import OpenSession
from app.inference.embedder import open_embedder
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.settings import Settings
from app.vision.detector import open_detector


@dataclass
class Mischief:
    """The injected fault: called before each run; it may raise or wait."""

    strike: Callable[[], object] = object


@dataclass
class FaultySession:
    """A real model that runs the injected fault before each batch."""

    session: ModelSession
    mischief: Mischief

    @property
    def provider(self) -> str:
        return self.session.provider

    @property
    def output_names(self) -> list[str]:
        return self.session.output_names

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        return self.session.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        return self.session.outputs

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Run the model, unless the fault raises."""
        self.mischief.strike()
        return self.session.run(inputs)


@asynccontextmanager
async def serve_faulty_models(application: FastAPI, settings: Settings) -> AsyncIterator[Mischief]:
    """Replace the started service's models for texts and pictures with ones that have faults injected."""
    services: Services = application.state.services
    ports, mischief = services.ports, Mischief()
    eyes = services.detections.detector.model
    async with AsyncExitStack() as stack:
        embedder = open_embedder(
            settings.embedding,
            settings.batching,
            _opener(settings, settings.embedding.folder / "model.onnx", mischief),
            ports.embedder.model,
        )
        detector = open_detector(settings.detection, settings.batching, _opener(settings, eyes.graph, mischief), eyes)
        changed: Ports = replace(
            ports,
            embedder=await stack.enter_async_context(embedder),
            detector=await stack.enter_async_context(detector),
        )
        application.state.services = build_services(settings, changed)
        yield mischief


def _opener(settings: Settings, graph: Path, mischief: Mischief) -> OpenSession:
    @asynccontextmanager
    async def open_session(threads: int) -> AsyncIterator[ModelSession]:
        async with open_model_session(settings.model_session, graph, threads) as session:
            yield FaultySession(session, mischief)

    return open_session
