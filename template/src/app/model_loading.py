"""The ONNX models, opened: those of the features, those that the operator registers, here or on other servers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.adapters.model_session import device_lanes, open_model_session
from app.adapters.remote_inference import RemoteInference, open_remote_inference
from app.classification.classifier import Classifiers
from app.errors import StartupError
from app.inference.embedder import Embedder, open_embedder
from app.inference.manifest import Provider, load_embedding_model
from app.inference.model_folders import find_tensor_models
from app.inference.model_repository import ModelRepository, open_model_repository
from app.inference.placement import Placement
from app.inference.resident import Resident
from app.reranking.manifest import CrossEncoderModel, find_cross_encoders
from app.reranking.reranker import Reranker, open_rerankers
from app.settings import Settings
from app.vision.detector import Detector, open_detector
from app.vision.manifest import load_detection_model


@dataclass(frozen=True, slots=True)
class Models:
    """What runs tensors, ready."""

    classifiers: Classifiers
    detector: Detector
    embedder: Embedder
    remote_inference: RemoteInference
    repository: ModelRepository
    rerankers: Sequence[Reranker]


@asynccontextmanager
async def open_models(settings: Settings, *, serving: bool) -> AsyncIterator[Models]:
    """Open, measure and warm the models.

    Args:
        settings: the whole configuration.
        serving: whether callers may send tensors, so that the operator's own models are opened, too.

    Raises:
        StartupError: one cannot be opened, or does not do what its manifest says.
    """
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(open_remote_inference(settings.remote_inference))
        seen = load_detection_model(settings.detection.folder)
        eyes = seen.manifest
        home = _place(settings, remote, eyes.name, eyes.version, seen.graph, eyes.providers)
        looking = open_detector(settings.detection, home.batching, home.open_session, seen, cores=home.cores)
        detector = await stack.enter_async_context(looking)
        read = load_embedding_model(settings.embedding.folder)
        home = _place(settings, remote, read.name, read.version, read.folder / "model.onnx", read.providers)
        reading = open_embedder(settings.embedding, home.batching, home.open_session, read, cores=home.cores)
        embedder = await stack.enter_async_context(reading)
        own = [embedder.resident(), detector.resident()]
        registered = await stack.enter_async_context(_open_registered(settings, remote, own if serving else None))
        yield Models(
            classifiers=registered.classifiers,
            detector=detector,
            embedder=embedder,
            remote_inference=remote,
            repository=registered.models,
            rerankers=registered.rerankers,
        )


@dataclass(frozen=True, slots=True)
class _Registered:
    classifiers: Classifiers
    models: ModelRepository
    rerankers: Sequence[Reranker]


@asynccontextmanager
async def _open_registered(
    settings: Settings, remote: RemoteInference, own: Sequence[Resident] | None
) -> AsyncIterator[_Registered]:
    """Open the operator's own models; none where the service's are None, too, because callers send no tensors."""
    folder = settings.models.folder
    crosses, tensors = ([], []) if own is None else (find_cross_encoders(folder), find_tensor_models(folder))
    if own is not None:
        names = (*(each.manifest.name for each in tensors), *(each.manifest.name for each in crosses))
        _check_remote(settings, {*(each.name for each in own), *names})
        _check_reranker(settings, crosses)
    place = partial(_place, settings, remote)
    async with open_rerankers(crosses, place) as rerankers:
        residents = [*(own or ()), *(each.resident() for each in rerankers)]
        classifiers = Classifiers()
        opening = open_model_repository(folder, tensors, residents, settings.batching, place, join=classifiers.join)
        async with opening as models:
            yield _Registered(classifiers, models, rerankers)


def place_here(settings: Settings, graph: Path, providers: Sequence[Provider]) -> Placement:
    """Tell how a model runs on this machine; `providers` are those that its manifest names."""
    open_session = partial(open_model_session, settings.model_session, graph, providers=providers)
    devices = device_lanes(settings.model_session, providers)
    if devices == 1:
        return Placement(open_session, settings.batching, settings.model_session.threads)
    # One session is on all devices, and the lanes share it.
    batching = settings.batching.model_copy(update={"lanes": settings.batching.lanes or devices})
    return Placement(open_session, batching, cores=1)


def _place(  # noqa: PLR0913, PLR0917 - what a manifest says of a model
    settings: Settings, remote: RemoteInference, name: str, version: str, graph: Path, providers: Sequence[Provider]
) -> Placement:
    open_session = remote.find(name, version)
    if open_session is None:
        return place_here(settings, graph, providers)
    # What runs elsewhere takes no core here: as many batches as are allowed may be under way, through one session.
    batching = settings.batching.model_copy(update={"lanes": settings.remote_inference.lanes})
    return Placement(open_session, batching, cores=1)


def _check_remote(settings: Settings, known: set[str]) -> None:
    strangers = settings.remote_inference.models.keys() - known
    if strangers:
        raise StartupError(
            f"APP_REMOTE_INFERENCE__MODELS names {', '.join(sorted(strangers))}; the models that may run elsewhere are "
            f"{', '.join(sorted(known))}."
        )


def _check_reranker(settings: Settings, crosses: Sequence[CrossEncoderModel]) -> None:
    named = settings.search.reranker
    if named and not any(each.is_called(named) for each in crosses):
        raise StartupError(
            f"APP_SEARCH__RERANKER names {named}; the cross-encoders that {settings.models.folder} registers are "
            f"{', '.join(sorted(each.identity for each in crosses)) or 'none'}."
        )
