"""How the service is put together: settings open the ports, ports make the services."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.adapters.circuit_breaker import open_circuit_breaker
from app.adapters.file_store import open_file_store
from app.adapters.job_queue import open_job_queue
from app.adapters.language_model import open_language_models
from app.adapters.model_session import open_model_session
from app.adapters.rate_limiter import open_rate_limiter
from app.adapters.remote_inference import RemoteInference, open_remote_inference
from app.adapters.valkey import open_valkey
from app.adapters.vector_store import open_vector_store
from app.answers.prompts import ANSWERS_PROMPT
from app.answers.retrieval import RetrievalService
from app.answers.service import AnswerService
from app.auth.service import AuthService
from app.chat.capped_model import cap_calls
from app.chat.ports import DEFAULT, CircuitBreaker, LanguageModel
from app.chat.service import ChatService
from app.classification.classifier import TextClassifier, open_classifiers
from app.classification.service import ClassificationService
from app.conversations.service import ConversationService
from app.conversations.turns import TurnService
from app.database import Database, open_database
from app.documents.handlers import IngestDocument, PurgeDocument
from app.documents.ports import FileStore, VectorStore
from app.documents.service import INGEST, PURGE, DocumentService
from app.errors import StartupError
from app.extraction.extractor import Extractor
from app.extraction.handlers import ExtractBatch
from app.extraction.release import EXTRACTION, check_release
from app.extraction.service import BATCH, ExtractionService
from app.guardrails.service import Guardrails
from app.guardrails.topics import make_topics
from app.health.service import HealthService
from app.inference.embedder import Embedder, open_embedder
from app.inference.manifest import load_embedding_model
from app.inference.model_folders import find_tensor_models
from app.inference.model_repository import ModelRepository, open_model_repository
from app.inference.placement import Placement
from app.inference.resident import Resident
from app.inference.service import EmbeddingService
from app.jobs.ports import JobHandler, JobQueue
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.open_inference.service import OpenInferenceService
from app.prompts.service import PromptService
from app.reranking.manifest import find_cross_encoders
from app.reranking.reranker import Reranker, open_rerankers
from app.reranking.service import RerankService
from app.reviews.service import ReviewService
from app.predictions.keeper import Keeper, open_keeper
from app.predictions.service import PredictionService
from app.settings import Settings
from app.usage.budgets import Budgets
from app.usage.ports import RateLimiter
from app.usage.rate_limits import RateLimits
from app.usage.service import UsageService
from app.vision.detector import Detector, open_detector
from app.vision.manifest import load_detection_model
from app.vision.service import DetectionService


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the process, and the models, opened and ready."""

    circuit_breaker: CircuitBreaker
    classifiers: Mapping[str, TextClassifier]
    database: Database
    detector: Detector
    embedder: Embedder
    files: FileStore
    keeper: Keeper
    language_models: Mapping[str, LanguageModel]
    models: ModelRepository
    queue: JobQueue
    remote_inference: RemoteInference
    rerankers: Sequence[Reranker]
    rate_limiter: RateLimiter
    vectors: VectorStore


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, for whoever is at the door: HTTP, MCP, worker or operator."""

    ports: Ports
    answers: AnswerService
    auth: AuthService
    chat: ChatService
    classifications: ClassificationService
    conversations: ConversationService
    detections: DetectionService
    documents: DocumentService
    embeddings: EmbeddingService
    extractions: ExtractionService
    health: HealthService
    job_runner: JobRunner
    jobs: JobService
    open_inference: OpenInferenceService
    reranking: RerankService
    prompts: PromptService
    predictions: PredictionService
    retrieval: RetrievalService
    turns: TurnService
    reviews: ReviewService
    usage: UsageService


@asynccontextmanager
async def open_ports(settings: Settings, *, serving: bool = False) -> AsyncIterator[Ports]:
    """Open everything that the service needs; close it in reverse order at the end.

    Args:
        settings: the whole configuration.
        serving: whether callers may send tensors, so that the operator's own models are opened, too.

    Raises:
        StartupError: the configuration or the machine does not allow the process to start.
    """
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(open_remote_inference(settings.remote_inference))
        model = load_embedding_model(settings.embedding.folder)
        home = _place(settings, remote, model.name, model.version, model.folder / "model.onnx")
        opening = open_embedder(settings.embedding, home.batching, home.open_session, model, cores=home.cores)
        seen = load_detection_model(settings.detection.folder)
        home = _place(settings, remote, seen.manifest.name, seen.manifest.version, seen.graph)
        looking = open_detector(settings.detection, home.batching, home.open_session, seen, cores=home.cores)
        detector = await stack.enter_async_context(looking)
        embedder = await stack.enter_async_context(opening)
        own = [embedder.resident(), detector.resident()]
        registered = await stack.enter_async_context(_open_registered(settings, remote, own if serving else None))
        valkey = await stack.enter_async_context(open_valkey(settings.valkey))
        breaker = open_circuit_breaker(settings.circuit_breaker, valkey, settings.valkey.prefix)
        writers = open_language_models(settings.language_model, breaker)
        database = await stack.enter_async_context(open_database(settings.database))
        yield Ports(
            circuit_breaker=breaker,
            classifiers=registered.classifiers,
            database=database,
            detector=detector,
            embedder=embedder,
            files=await stack.enter_async_context(open_file_store(settings.file_store)),
            keeper=await stack.enter_async_context(open_keeper(settings.predictions, database)),
            language_models=await stack.enter_async_context(writers),
            models=registered.models,
            queue=await stack.enter_async_context(open_job_queue(settings.job_queue)),
            remote_inference=remote,
            rerankers=registered.rerankers,
            rate_limiter=open_rate_limiter(settings.valkey, valkey),
            vectors=await stack.enter_async_context(open_vector_store(settings.vector_store)),
        )


@dataclass(frozen=True, slots=True)
class _Registered:
    classifiers: Mapping[str, TextClassifier]
    models: ModelRepository
    rerankers: Sequence[Reranker]


@asynccontextmanager
async def _open_registered(
    settings: Settings, remote: RemoteInference, own: Sequence[Resident] | None
) -> AsyncIterator[_Registered]:
    """Open the operator's own models; none where the service's are None, too, because callers send no tensors."""
    folder, cores = settings.models.folder, settings.model_session.threads
    open_model = partial(open_model_session, settings.model_session)
    crosses, tensors = ([], []) if own is None else (find_cross_encoders(folder), find_tensor_models(folder))
    if own is not None:
        _check_remote(settings, {*(each.name for each in own), *(each.manifest.name for each in tensors)})
    place = partial(_place, settings, remote)
    async with open_rerankers(crosses, settings.batching, open_model, cores=cores) as rerankers:
        residents = [*(own or ()), *(each.resident() for each in rerankers)]
        async with open_model_repository(folder, tensors, residents, settings.batching, place) as models:
            yield _Registered(await open_classifiers(tensors, models.served), models, rerankers)


def _place(settings: Settings, remote: RemoteInference, name: str, version: str, graph: Path) -> Placement:
    open_session = remote.find(name, version)
    if open_session is None:
        open_here = partial(open_model_session, settings.model_session, graph)
        return Placement(open_here, settings.batching, settings.model_session.threads)
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


def build_services(settings: Settings, ports: Ports) -> Services:
    """Join the use cases to the ports."""
    jobs = JobService(ports.database, ports.queue)
    retrieval = RetrievalService(ports.database, ports.vectors, ports.embedder)
    ingest = IngestDocument(ports.database, ports.files, ports.vectors, ports.embedder, settings.documents)
    limits = RateLimits(ports.rate_limiter, settings.limits)
    usage = UsageService(ports.database, limits, Budgets(ports.database, settings.usage))
    language_models = cap_calls(ports.language_models, settings.limits)
    guardrails = Guardrails(settings.guardrails, make_topics(settings.guardrails, ports.embedder))
    chat = ChatService(language_models, usage, settings.chat, guardrails)
    extractor = Extractor(language_models, usage, settings.extraction)
    reviews = ReviewService(ports.database, {EXTRACTION: check_release}, settings.reviews)
    handlers: Mapping[str, JobHandler] = {
        BATCH: ExtractBatch(ports.database, extractor, reviews),
        INGEST: ingest,
        PURGE: PurgeDocument(ports.files, ports.vectors),
    }
    pings = {
        "database": ports.database.ping,
        "detection_model": ports.detector.ping,
        "embedding_model": ports.embedder.ping,
        "job_queue": ports.queue.ping,
        "vector_store": ports.vectors.ping,
    }
    if settings.remote_inference.models:
        pings["remote_inference"] = ports.remote_inference.ping
    prompts = PromptService(ports.database, unasked={ANSWERS_PROMPT})
    return Services(
        ports=ports,
        answers=AnswerService(retrieval, language_models[DEFAULT], usage, prompts, guardrails),
        auth=AuthService(ports.database, settings.auth),
        chat=chat,
        classifications=ClassificationService(ports.embedder, ports.classifiers, ports.keeper),
        conversations=ConversationService(ports.database, chat, prompts),
        detections=DetectionService(ports.detector, ports.keeper),
        documents=DocumentService(ports.database, ports.files, jobs, settings.documents),
        embeddings=EmbeddingService(ports.embedder, ports.keeper),
        extractions=ExtractionService(ports.database, extractor, jobs, reviews),
        health=HealthService(pings),
        job_runner=JobRunner(ports.database, handlers, settings.jobs),
        jobs=jobs,
        open_inference=OpenInferenceService(ports.models, ports.keeper),
        predictions=PredictionService(ports.database),
        reranking=RerankService(ports.rerankers),
        prompts=prompts,
        retrieval=retrieval,
        turns=TurnService(ports.database, chat, settings.conversations),
        reviews=reviews,
        usage=usage,
    )


@asynccontextmanager
async def open_job_runner(settings: Settings) -> AsyncIterator[JobRunner]:
    """Open what a worker needs: the runner of jobs, on ports of its own."""
    async with open_ports(settings) as ports:
        yield build_services(settings, ports).job_runner
