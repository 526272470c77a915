"""The configured models, opened one at a time for `app models`, in the way of the service."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import ConfigDict

from app.adapters.remote_inference import open_remote_inference
from app.classification.classifier import Classifiers
from app.inference.capacity import Capacity, Workload, available_cores, open_capacity, threads_of
from app.inference.embedder import load_tokenizer, open_embedder
from app.inference.encoder import encoder_workload
from app.inference.feature_model import FeatureModel
from app.inference.latency_curve import time_batches
from app.inference.manifest import GRAPH, ModelManifest, load_embedding_model, read_manifest
from app.inference.model_folders import SINGLE_MODEL_TASKS, find_manifests, load_tensor_model
from app.inference.model_opening import register_tensors, tensor_workload, try_registered
from app.inference.model_repository import open_model_repository
from app.inference.placement import Placement
from app.inference.registration import Registration
from app.model_loading import place
from app.reranking.cross_encoder import cross_encoder_workload
from app.reranking.manifest import load_cross_encoder
from app.reranking.pairs import open_pair_reader
from app.reranking.registered import Rerankers
from app.settings import Settings
from app.vision.detector import open_detector
from app.vision.manifest import load_detection_model
from app.vision.raw_detections import detector_workload

EMBEDDING, DETECTION, RERANK, TENSORS = "embedding", "detection", "rerank", "tensors"
# Batches of each size, of which the median time is reported.
REPEATS = 9


class Declared(ModelManifest):
    """The fields that all manifests have in common."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The folder of a model, and the task that it is opened for."""

    task: str
    folder: Path

    @property
    def size(self) -> int | None:
        """The size of the graph in bytes; None if the file is missing."""
        graph = self.folder / GRAPH
        return graph.stat().st_size if graph.is_file() else None

    def read(self) -> Declared:
        """Read the manifest, without checking files.

        Raises:
            StartupError: the manifest is missing or invalid.
        """
        return read_manifest(self.folder, Declared, "model")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long batches of a size take.

    Attributes:
        size: in units of the model.
        seconds: the median of several.
        throughput: units per second on all lanes.
    """

    size: int
    seconds: float
    throughput: float


@dataclass(frozen=True, slots=True)
class Choice:
    """How the service would run a model on this machine.

    Attributes:
        unit: unit of sizes: tokens with padding, pictures or rows.
        threads: threads per lane.
        limit: the largest batch worth its latency.
    """

    provider: str
    unit: str
    lanes: int
    threads: int
    limit: int


def find_models(settings: Settings) -> list[ModelFolder]:
    """List the folders of all models that the service would open.

    Raises:
        StartupError: the folder of registered models is missing.
    """
    chosen = [ModelFolder(EMBEDDING, settings.embedding.folder), ModelFolder(DETECTION, settings.detection.folder)]
    registered = {
        manifest.parent: RERANK if task == RERANK else TENSORS
        for manifest, task in find_manifests(settings.models.folder).items()
        if task not in SINGLE_MODEL_TASKS
    }
    return chosen + [ModelFolder(task, folder) for folder, task in registered.items()]


async def verify(model: ModelFolder, settings: Settings) -> str:
    """Check a model's files, open it and run it as at startup; return the provider that it ran on.

    Raises:
        StartupError: the service would not start with the model.
    """
    batching = settings.batching.model_copy(update={"measure_seconds": 0.0, "lanes": 1})

    def serve(registered: Sequence[Registration], own: Sequence[FeatureModel]) -> AbstractAsyncContextManager[Any]:
        return open_model_repository(model.folder, registered, own, batching)

    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(_placed(model, settings.model_copy(update={"batching": batching})))
        if model.task == EMBEDDING:
            opening = open_embedder(
                settings.embedding, batching, home.open_session, load_embedding_model(model.folder), cores=home.cores
            )
            embedder = await stack.enter_async_context(opening)
            await embedder.embed(["A text to try the tokenizer with."])
            await stack.enter_async_context(serve([], [embedder.feature_model()]))
            return embedder.provider
        if model.task == DETECTION:
            looking = open_detector(
                settings.detection, batching, home.open_session, load_detection_model(model.folder), cores=home.cores
            )
            detector = await stack.enter_async_context(looking)
            await stack.enter_async_context(serve([], [detector.feature_model()]))
            return detector.provider
        registered = _register(model, home)
        repository = await stack.enter_async_context(serve([registered], []))
        return str(repository.served.find(registered.name).provider)


def _register(model: ModelFolder, place: Placement) -> Registration:
    if model.task == RERANK:
        return Rerankers().register(lambda *_: place, load_cross_encoder(model.folder))
    return register_tensors(lambda *_: place, Classifiers().attach, load_tensor_model(model.folder))


async def bench(model: ModelFolder, settings: Settings, seconds: float | None) -> tuple[Choice, list[Timing]]:
    """Choose lanes and batch limit as at startup, or within `seconds`, and time batches of each size.

    Raises:
        StartupError: the service would not start with the model.
    """
    batching = settings.batching
    if seconds is not None:
        batching = batching.model_copy(update={"measure_seconds": seconds})
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(_placed(model, settings.model_copy(update={"batching": batching})))
        cores = home.cores or available_cores()
        unit, workload = await _workload(model, settings, home)
        opening = open_capacity(home.batching, home.open_session, workload, cores=cores)
        capacity = await stack.enter_async_context(opening)
        curve = capacity.curve
        threads = threads_of(curve.lanes, cores)
        choice = Choice(capacity.sessions[0].provider, unit, curve.lanes, threads, curve.limit)
        return choice, list(_time(capacity, workload))


async def _workload(model: ModelFolder, settings: Settings, place: Placement) -> tuple[str, Workload]:
    if model.task == EMBEDDING:
        embedding = load_embedding_model(model.folder)
        vocabulary = load_tokenizer(embedding).get_vocab_size()
        return "tokens", encoder_workload(embedding, settings.embedding.batch_size, vocabulary)
    if model.task == DETECTION:
        detection = load_detection_model(model.folder)
        return "pictures", detector_workload(detection, settings.detection.rows_of(detection.manifest))
    if model.task == RERANK:
        cross = load_cross_encoder(model.folder)
        vocabulary = open_pair_reader(model.folder, cross.manifest.max_tokens).tokenizer.get_vocab_size()
        return "tokens", cross_encoder_workload(cross, vocabulary)
    registered = load_tensor_model(model.folder)
    async with place.open_session(place.cores or available_cores()) as session:
        signature = await try_registered(session, registered.manifest)
    return "rows", tensor_workload(signature, registered.manifest)


def _time(capacity: Capacity, workload: Workload) -> Iterator[Timing]:
    probes = [partial(workload.probe, session) for session in capacity.sessions]
    for size in capacity.curve.units:
        taken = median(time_batches(probes, size, REPEATS))
        yield Timing(size, taken, size * len(probes) / taken)


@asynccontextmanager
async def _placed(model: ModelFolder, settings: Settings) -> AsyncIterator[Placement]:
    """Yield the placement of a model, here or on another server; connections are open while the block runs."""
    declared = model.read()
    async with open_remote_inference(settings.remote_inference) as remote:
        yield place(settings, remote, declared.name, declared.version, model.folder / GRAPH, declared.providers)
