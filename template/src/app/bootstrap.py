"""The composition root: opens the ports from the settings, and builds the services on them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from app.adapters.answer_cache import open_answer_cache
from app.adapters.circuit_breaker import open_circuit_breaker
from app.adapters.file_store import open_file_store
from app.adapters.job_queue import open_job_queue
from app.adapters.language_model import open_language_models
from app.adapters.provider_limiter import open_provider_limiter
from app.adapters.rate_limiter import open_rate_limiter
from app.adapters.remote_inference import RemoteInference
from app.adapters.valkey import open_valkey
from app.adapters.vector_store import open_vector_store
from app.adapters.webhook_sender import open_webhook_sender
from app.answers.passage_reranking import find_reranker
from app.answers.prompts import ANSWERS_PROMPT
from app.answers.retrieval import RetrievalService
from app.answers.service import AnswerService
from app.answers.word_search import WordSearch
from app.auth.passwords import Passwords
from app.auth.service import AuthService
from app.chat.answer_cache import AnswerCache
from app.chat.caching import Caching
from app.chat.circuits import CircuitBreaker
from app.chat.concurrency_limit import limit_concurrency
from app.chat.ports import DEFAULT, LanguageModel
from app.chat.service import ChatService
from app.classification.classifier import Classifiers
from app.classification.service import ClassificationService
from app.conversations.service import ConversationService
from app.conversations.turns import TurnService
from app.database import Database, open_database
from app.documents.handlers import IngestDocument, PurgeDocument
from app.documents.ports import FileStore, VectorStore
from app.documents.service import INGEST, PURGE, DocumentService
from app.extraction.extractor import Extractor
from app.extraction.format_check import make_format_check
from app.extraction.handlers import ExtractBatch
from app.extraction.release import EXTRACTION, check_release
from app.extraction.service import BATCH, ExtractionService
from app.guardrails.service import make_guardrails
from app.health.service import HealthService, Ping
from app.inference.embedder import Embedder
from app.inference.model_repository import ModelRepository
from app.inference.service import EmbeddingService
from app.jobs.ports import JobHandler, JobQueue
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.model_loading import open_models
from app.observability.telemetry import open_telemetry
from app.open_inference.service import OpenInferenceService
from app.predictions.recorder import PredictionRecorder, open_recorder
from app.predictions.service import PredictionService
from app.prompts.service import PromptService
from app.reranking.registered import Rerankers
from app.reranking.service import RerankService
from app.reviews.refusals import GUARDRAIL, RefusalDesk, check_refusal
from app.reviews.service import ReviewService
from app.settings import Settings
from app.usage.budgets import Budgets
from app.usage.ports import RateLimiter
from app.usage.rate_limits import RateLimits
from app.usage.service import UsageService
from app.vision.detector import Detector
from app.vision.service import DetectionService
from app.webhooks.handlers import DeliverWebhook
from app.webhooks.ports import WebhookSender
from app.webhooks.service import DELIVER, WebhookService


@dataclass(frozen=True, slots=True)
class Ports:
    """The open ports to everything outside the process, and the models."""

    answer_cache: AnswerCache | None
    circuit_breaker: CircuitBreaker
    classifiers: Classifiers
    database: Database
    detector: Detector
    embedder: Embedder
    files: FileStore
    recorder: PredictionRecorder
    language_models: Mapping[str, LanguageModel]
    models: ModelRepository
    passwords: Passwords
    queue: JobQueue
    rate_limiter: RateLimiter
    remote_inference: RemoteInference
    rerankers: Rerankers
    vectors: VectorStore
    webhook_sender: WebhookSender


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, shared by every entry point: HTTP, MCP, worker and operator commands."""

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
    predictions: PredictionService
    prompts: PromptService
    reranking: RerankService
    retrieval: RetrievalService
    reviews: ReviewService
    turns: TurnService
    usage: UsageService
    webhooks: WebhookService


@asynccontextmanager
async def open_ports(settings: Settings, *, serving: bool = False) -> AsyncIterator[Ports]:
    """Open everything that the service needs; close it in reverse order at the end.

    Args:
        settings: the complete configuration.
        serving: whether the process serves requests; then registered models are opened as well.

    Raises:
        StartupError: the configuration or the machine does not allow the process to start.
    """
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models(settings, serving=serving))
        valkey = await stack.enter_async_context(open_valkey(settings.valkey))
        breaker = open_circuit_breaker(settings.circuit_breaker, valkey, settings.valkey.prefix)
        limiter = open_provider_limiter(settings.valkey, valkey)
        language_models = open_language_models(settings.language_model, breaker, limiter)
        database = await stack.enter_async_context(open_database(settings.database))
        yield Ports(
            answer_cache=open_answer_cache(settings.answer_cache, settings.valkey, valkey),
            circuit_breaker=breaker,
            classifiers=models.classifiers,
            database=database,
            detector=models.detector,
            embedder=models.embedder,
            files=await stack.enter_async_context(open_file_store(settings.file_store)),
            recorder=await stack.enter_async_context(open_recorder(settings.predictions, database)),
            language_models=await stack.enter_async_context(language_models),
            models=models.repository,
            passwords=stack.enter_context(closing(Passwords())),
            queue=await stack.enter_async_context(open_job_queue(settings.job_queue)),
            rate_limiter=open_rate_limiter(settings.valkey, valkey),
            remote_inference=models.remote_inference,
            rerankers=models.rerankers,
            vectors=await stack.enter_async_context(open_vector_store(settings.vector_store)),
            webhook_sender=await stack.enter_async_context(open_webhook_sender(settings.webhooks)),
        )


def build_services(settings: Settings, ports: Ports) -> Services:
    """Build the use cases on top of the ports."""
    jobs = JobService(ports.database, ports.queue, uncancellable=frozenset({PURGE}))
    retrieval = _retrieval(settings, ports)
    webhooks = WebhookService(ports.database, jobs, settings.webhooks)
    limits = RateLimits(ports.rate_limiter, settings.limits)
    usage = UsageService(ports.database, limits, Budgets(ports.database, settings.usage))
    models = limit_concurrency(ports.language_models, settings.limits)
    checks = {EXTRACTION: check_release, GUARDRAIL: check_refusal}
    reviews = ReviewService(ports.database, checks, settings.reviews, webhooks)
    aliases = settings.language_model.alias_by_name()
    guardrails = make_guardrails(settings.guardrails, aliases, ports.embedder, RefusalDesk(reviews))
    caching = None if ports.answer_cache is None else Caching(ports.answer_cache, settings.answer_cache)
    prompts = PromptService(ports.database, unasked={ANSWERS_PROMPT})
    chat = ChatService(models, usage, settings.chat, prompts, guardrails, caching, make_format_check)
    extractor = Extractor(models, usage, settings.extraction, guardrails)
    return Services(
        ports=ports,
        answers=AnswerService(retrieval, models[DEFAULT], usage, prompts, guardrails.of(DEFAULT), settings.answers),
        auth=AuthService(ports.database, settings.auth, ports.passwords),
        chat=chat,
        classifications=ClassificationService(ports.embedder, ports.classifiers, ports.models.served, ports.recorder),
        conversations=ConversationService(ports.database, chat, prompts),
        detections=DetectionService(ports.detector, ports.recorder),
        documents=DocumentService(ports.database, ports.files, jobs, settings.documents),
        embeddings=EmbeddingService(ports.embedder, ports.recorder),
        extractions=ExtractionService(ports.database, extractor, prompts, jobs, reviews),
        health=HealthService(_pings(settings, ports), ports, optional={"job_queue"}),
        job_runner=_job_runner(settings, ports, extractor, reviews, webhooks),
        jobs=jobs,
        open_inference=OpenInferenceService(ports.models, ports.recorder),
        predictions=PredictionService(ports.database),
        prompts=prompts,
        reranking=RerankService(ports.rerankers, ports.models.served),
        retrieval=retrieval,
        reviews=reviews,
        turns=TurnService(ports.database, chat, settings.conversations),
        usage=usage,
        webhooks=webhooks,
    )


def _retrieval(settings: Settings, ports: Ports) -> RetrievalService:
    reranker = find_reranker(ports.rerankers, ports.models.served, settings.search)
    words = WordSearch(ports.database, settings.search) if settings.search.words else None
    return RetrievalService(ports.database, ports.vectors, ports.embedder, reranker, words)


def _job_runner(
    settings: Settings, ports: Ports, extractor: Extractor, reviews: ReviewService, webhooks: WebhookService
) -> JobRunner:
    schedules = {DELIVER: settings.webhooks.retry_after}
    handlers = _handlers(settings, ports, extractor, reviews, webhooks.jobs)
    return JobRunner(ports.database, handlers, settings.jobs, webhooks, schedules, ports.queue)


def _handlers(
    settings: Settings, ports: Ports, extractor: Extractor, reviews: ReviewService, jobs: JobService
) -> Mapping[str, JobHandler]:
    return {
        BATCH: ExtractBatch(ports.database, extractor, reviews),
        DELIVER: DeliverWebhook(ports.database, ports.webhook_sender, jobs),
        INGEST: IngestDocument(ports.database, ports.files, ports.vectors, ports.embedder, settings.documents),
        PURGE: PurgeDocument(ports.files, ports.vectors),
    }


def _pings(settings: Settings, ports: Ports) -> Mapping[str, Ping]:
    pings = {
        "database": ports.database.ping,
        "detection_model": ports.detector.ping,
        "embedding_model": ports.embedder.ping,
        "job_queue": ports.queue.ping,
        "vector_store": ports.vectors.ping,
    }
    if settings.remote_inference.models:
        pings["remote_inference"] = ports.remote_inference.ping
    return pings


@asynccontextmanager
async def open_job_runner(settings: Settings) -> AsyncIterator[JobRunner]:
    """Open the job runner of a worker, with its own ports."""
    async with open_telemetry(settings.tracing, settings.metrics, settings.service.name), open_ports(settings) as ports:
        yield build_services(settings, ports).job_runner
