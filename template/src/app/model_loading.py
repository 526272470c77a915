"""Opens the ONNX models, those of the features and those that the operator registers, here or on other servers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.adapters.model_session import open_model_session
from app.adapters.remote_inference import RemoteInference, open_remote_inference
from app.classification.classifier import Classifiers
from app.errors import ConflictError, StartupError
from app.inference.embedder import Embedder, open_embedder
from app.inference.manifest import Provider, load_embedding_model
from app.inference.model_opening import find_registered_tensors
from app.inference.model_repository import ModelRepository, find_registered, open_model_repository
from app.inference.placement import Placement
from app.inference.registration import Registration
from app.inference.resident import Resident
from app.reranking.manifest import TASK as RERANK
from app.reranking.registered import Rerankers
from app.settings import Settings
from app.vision.detector import Detector, open_detector
from app.vision.manifest import load_detection_model


@dataclass(frozen=True, slots=True)
class Models:
    """The models, open and warm."""

    classifiers: Classifiers
    detector: Detector
    embedder: Embedder
    remote_inference: RemoteInference
    repository: ModelRepository
    rerankers: Rerankers


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
        home = place(settings, remote, eyes.name, eyes.version, seen.graph, eyes.providers)
        looking = open_detector(settings.detection, home.batching, home.open_session, seen, cores=home.cores)
        detector = await stack.enter_async_context(looking)
        read = load_embedding_model(settings.embedding.folder)
        home = place(settings, remote, read.name, read.version, read.folder / "model.onnx", read.providers)
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
    rerankers: Rerankers


@asynccontextmanager
async def _open_registered(
    settings: Settings, remote: RemoteInference, own: Sequence[Resident] | None
) -> AsyncIterator[_Registered]:
    """Open the operator's own models; none where the service's are None, too, because callers send no tensors."""
    folder, batching = settings.models.folder, settings.batching
    classifiers, rerankers, placed = Classifiers(), Rerankers(), partial(place, settings, remote)
    finders = [partial(rerankers.find_registered, placed), partial(find_registered_tensors, placed, classifiers.join)]
    found: list[Registration] = []
    if own is not None:
        found = find_registered(finders, folder)
        _check_remote(settings, {*(each.name for each in own), *(each.name for each in found)})
        _check_reranker(settings, found)
    check = partial(_keep_reranker, settings.search.reranker)
    async with open_model_repository(folder, found, own or (), batching, finders=finders, check=check) as models:
        yield _Registered(classifiers, models, rerankers)


def _place_here(settings: Settings, graph: Path, providers: Sequence[Provider]) -> Placement:
    """Say how a model runs on this machine; `providers` are those of its manifest."""
    open_session = partial(open_model_session, settings.model_session, graph, providers=providers)
    return Placement(open_session, settings.batching, settings.model_session.threads)


def place(  # noqa: PLR0913, PLR0917 - what a manifest says of a model
    settings: Settings, remote: RemoteInference, name: str, version: str, graph: Path, providers: Sequence[Provider]
) -> Placement:
    """Say where a model runs: on other servers if the settings say so, otherwise here."""
    open_session = remote.find(name, version)
    if open_session is None:
        return _place_here(settings, graph, providers)
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


def _check_reranker(settings: Settings, registered: Sequence[Registration]) -> None:
    named = settings.search.reranker
    crosses = [each for each in registered if each.task == RERANK]
    if named and not any(each.is_called(named) for each in crosses):
        raise StartupError(
            f"APP_SEARCH__RERANKER names {named}; the cross-encoders that {settings.models.folder} registers are "
            f"{', '.join(sorted('@'.join(each.identity) for each in crosses)) or 'none'}."
        )


def _keep_reranker(named: str, name: str, versions: Sequence[Registration]) -> None:
    """Pass if searches still have their cross-encoder when these are the versions of a name."""
    if name != named.partition("@")[0]:
        return
    if not any(each.task == RERANK and each.is_called(named) for each in versions):
        raise ConflictError(
            f"Searches need the cross-encoder {named}: keep it in its folder, or name another as APP_SEARCH__RERANKER "
            "and restart."
        )
