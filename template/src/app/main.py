"""The HTTP entry point: `uvicorn --factory app.main:create_app`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import Route
from starlette.types import Lifespan

from app.answers import routes as answers
from app.auth import routes as auth
from app.body_limit import BodyLimitMiddleware, BodyLimits
from app.bootstrap import Ports, build_services, open_ports
from app.chat import routes as chat
from app.classification import routes as classification
from app.conversations import routes as conversations
from app.documents import routes as documents
from app.errors import StartupError
from app.extraction import routes as extraction
from app.garbage_collection import rarer_garbage_collection
from app.health import metrics_routes
from app.health import routes as health
from app.inference import routes as inference
from app.jobs import routes as jobs
from app.jobs.backlog import polling_backlog
from app.json_limits import limit_integer_digits
from app.mcp.server import McpEndpoint, open_mcp
from app.observability.logging import configure_logging
from app.observability.metrics import INTERVAL, collect_metrics
from app.observability.requests import QUIET, RequestMiddleware
from app.observability.telemetry import open_telemetry
from app.open_inference import repository_routes as model_repository
from app.open_inference import routes as open_inference
from app.playground.files import PlaygroundFiles
from app.predictions import routes as predictions
from app.problems import MEDIA_TYPE, Problem, install_problem_handlers
from app.prompts import routes as prompts
from app.reranking import routes as reranking
from app.reviews import routes as reviews
from app.settings import Settings
from app.shutdown import ShutdownNotifier, notify_on_signals
from app.usage import routes as usage
from app.vision import routes as vision
from app.vision import stream_routes as vision_stream
from app.webhooks import routes as webhooks

log = structlog.get_logger(__name__)

# One per line, so that your own features merge with later releases.
FEATURES = (
    answers,
    auth,
    chat,
    classification,
    conversations,
    documents,
    extraction,
    health,
    inference,
    jobs,
    model_repository,
    open_inference,
    predictions,
    prompts,
    reranking,
    reviews,
    usage,
    vision,
    vision_stream,
    webhooks,
)

# The largest JSON body, and the allowance for the multipart encoding of the largest file.
JSON_BYTES = 10_000_000
ENVELOPE_BYTES = 1_000_000
# MCP requests are short, and parsing them is slower.
JSON_BYTES_OF = {"/mcp": 100_000}
# Disk space for all forms that arrive at the same time: half of /tmp in the Helm chart.
SPOOLED_BYTES = 1 << 30
# Paths whose forms are spooled to disk; other routes keep bodies in memory.
UPLOAD_PATHS = frozenset({"/v1/documents", "/v1/detections", "/v1/detections/batch"})


def create_app(settings: Settings | None = None, ports: Ports | None = None) -> FastAPI:
    """Build the application.

    Args:
        settings: by default, read from the environment.
        ports: by default, opened and closed with the application; tests pass fakes.
    """
    settings = settings or Settings()
    configure_logging(settings.logging)
    limit_integer_digits()
    # Serves the assets of /docs itself instead of loading them from a CDN.
    app = FastAPIOffline(
        redoc_url=None,
        title=settings.service.name,
        description=settings.service.description,
        lifespan=_lifespan(settings, ports),
        responses={"default": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "A problem (RFC 9457)"}},
        generate_unique_id_function=lambda route: route.name,
        # Failures are logged, with personal data redacted; spans of FastAPI dependencies add little.
        telemetry={"exclude": lambda scope: scope["path"].startswith(QUIET), "logs": False, "operation_spans": False},
    )
    upload_bytes = settings.documents.max_bytes + ENVELOPE_BYTES
    spooled = max(SPOOLED_BYTES, upload_bytes)
    limits = BodyLimits(JSON_BYTES, JSON_BYTES_OF, upload_bytes, UPLOAD_PATHS, spooled)
    app.add_middleware(BodyLimitMiddleware, limits=limits)
    # Added last, so it runs first: every response has the request id.
    app.add_middleware(RequestMiddleware)
    install_problem_handlers(app)
    for feature in FEATURES:
        app.include_router(feature.router)
    # A GET would be an endless stream, on which a stateless server has nothing to send.
    app.router.routes.append(Route("/mcp", McpEndpoint(), methods=["POST"]))
    if settings.metrics.enabled:
        app.state.collected = collect_metrics(settings.service.name)
        app.state.metrics = settings.metrics
        app.include_router(metrics_routes.router)
    if settings.playground.enabled:
        app.mount("/playground", PlaygroundFiles(), name="playground")
    return app


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Ports]:
    try:
        async with open_ports(settings, serving=True) as ports:
            yield ports
    except StartupError as error:
        # Uvicorn prints a traceback; this line says what to do.
        log.critical("startup.failed", reason=error.detail)
        raise


def _lifespan(settings: Settings, ports: Ports | None) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(open_telemetry(settings.tracing, settings.metrics, settings.service.name))
            opened = await stack.enter_async_context(_opened(settings)) if ports is None else ports
            services = build_services(settings, opened)
            if settings.metrics.endpoint:
                await stack.enter_async_context(polling_backlog(services.jobs.count_backlog, INTERVAL))
            app.state.mcp = await stack.enter_async_context(
                open_mcp(
                    settings.service.name, auth=services.auth, retrieval=services.retrieval, answers=services.answers
                )
            )
            app.state.services = services
            app.state.shutdown = ShutdownNotifier()
            stack.enter_context(notify_on_signals(app.state.shutdown))
            stack.enter_context(rarer_garbage_collection())
            yield
            # FastAPI caches applications; without these references, the memory of the models is freed.
            del app.state.services, app.state.mcp

    return lifespan
