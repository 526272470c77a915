"""Opens the ONNX models, built-in and registered ones, on this machine or on other servers."""

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
from app.inference.feature_model import FeatureModel
from app.inference.manifest import GRAPH, Provider, load_embedding_model
from app.inference.model_folders import TensorManifest
from app.inference.model_opening import find_registered_tensors
from app.inference.model_repository import ModelRepository, find_registered, open_model_repository
from app.inference.placement import Placement
from app.inference.registration import Registration
from app.reranking.manifest import TASK as RERANK
from app.reranking.registered import Rerankers
from app.settings import Settings
from app.vision.detector import Detector, open_detector
from app.vision.manifest import load_detection_model


@dataclass(frozen=True, slots=True)
class Models:
    """The models, opened and warmed up."""

    classifiers: Classifiers
    detector: Detector
    embedder: Embedder
    remote_inference: RemoteInference
    repository: ModelRepository
    rerankers: Rerankers


@asynccontextmanager
async def open_models(settings: Settings, *, serving: bool) -> AsyncIterator[Models]:
    """Open the models, measure their capacity and warm them up.

    Args:
        settings: the complete configuration.
        serving: whether the process serves requests; then registered models are opened as well.

    Raises:
        StartupError: a model cannot be opened, or does not match its manifest.
    """
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(open_remote_inference(settings.remote_inference))
        detection = load_detection_model(settings.detection.folder)
        manifest = detection.manifest
        where = place(settings, remote, manifest.name, manifest.version, detection.graph, manifest.providers)
        opening = open_detector(settings.detection, where.batching, where.open_session, detection, cores=where.cores)
        detector = await stack.enter_async_context(opening)
        embedding = load_embedding_model(settings.embedding.folder)
        graph = embedding.folder / GRAPH
        where = place(settings, remote, embedding.name, embedding.version, graph, embedding.providers)
        opened = open_embedder(settings.embedding, where.batching, where.open_session, embedding, cores=where.cores)
        embedder = await stack.enter_async_context(opened)
        own = [embedder.feature_model(), detector.feature_model()]
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
    settings: Settings, remote: RemoteInference, own: Sequence[FeatureModel] | None
) -> AsyncIterator[_Registered]:
    """Open the registered models, beside the built-in ones in `own`; none if `own` is None, when nothing is served."""
    folder, batching = settings.models.folder, settings.batching
    classifiers = Classifiers(settings.models.default_classifier)
    rerankers, placed = Rerankers(settings.models.default_reranker), partial(place, settings, remote)
    finders = [partial(rerankers.find_registered, placed), partial(find_registered_tensors, placed, classifiers.attach)]
    found: list[Registration] = []
    if own is not None:
        found = find_registered(finders, folder)
        _check_remote(settings, {*(each.name for each in own), *(each.name for each in found)})
        _check_named(settings, found)
    check = partial(_keep_reranker, settings.search.reranker)
    async with open_model_repository(folder, found, own or (), batching, finders=finders, check=check) as models:
        yield _Registered(classifiers, models, rerankers)


def _place_here(settings: Settings, graph: Path, providers: Sequence[Provider]) -> Placement:
    """Return the placement of a model on this machine; `providers` are those of its manifest."""
    open_session = partial(open_model_session, settings.model_session, graph, providers=providers)
    return Placement(open_session, settings.batching, settings.model_session.threads)


def place(  # noqa: PLR0913, PLR0917 - the fields of a manifest
    settings: Settings, remote: RemoteInference, name: str, version: str, graph: Path, providers: Sequence[Provider]
) -> Placement:
    """Return the placement of a model: on other servers if so configured, otherwise on this machine."""
    open_session = remote.find(name, version)
    if open_session is None:
        return _place_here(settings, graph, providers)
    # A remote model needs no cores here: `lanes` batches may run concurrently through one session.
    batching = settings.batching.model_copy(update={"lanes": settings.remote_inference.lanes})
    return Placement(open_session, batching, cores=1)


def _check_remote(settings: Settings, known: set[str]) -> None:
    unknown = settings.remote_inference.models.keys() - known
    if unknown:
        raise StartupError(
            f"APP_REMOTE_INFERENCE__MODELS names {', '.join(sorted(unknown))}; the models that may run elsewhere are "
            f"{', '.join(sorted(known))}."
        )


def _check_named(settings: Settings, registered: Sequence[Registration]) -> None:
    cross_encoders = [each for each in registered if each.task == RERANK]
    classifying = [each for each in registered if isinstance(each.manifest, TensorManifest) and each.manifest.labels]
    for name, named, kind, models in (
        ("APP_MODELS__DEFAULT_CLASSIFIER", settings.models.default_classifier, "classifiers", classifying),
        ("APP_MODELS__DEFAULT_RERANKER", settings.models.default_reranker, "cross-encoders", cross_encoders),
        ("APP_SEARCH__RERANKER", settings.search.reranker, "cross-encoders", cross_encoders),
    ):
        if named and not any(each.is_called(named) for each in models):
            raise StartupError(
                f"{name} names {named}; the {kind} that {settings.models.folder} registers are "
                f"{', '.join(sorted('@'.join(each.identity) for each in models)) or 'none'}."
            )


def _keep_reranker(named: str, name: str, versions: Sequence[Registration]) -> None:
    """Raise ConflictError if these versions of a model no longer include the cross-encoder of searches."""
    if name != named.partition("@")[0]:
        return
    if not any(each.task == RERANK and each.is_called(named) for each in versions):
        raise ConflictError(
            f"Searches need the cross-encoder {named}: keep it in its folder, or name another as APP_SEARCH__RERANKER "
            "and restart."
        )
