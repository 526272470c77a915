"""What this process measures, for Prometheus."""

import asyncio
import secrets

import structlog
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.dependencies import CredentialsDep, ServicesDep
from app.errors import UnauthenticatedError
from app.jobs.backlog import show_backlog
from app.observability.metrics import MetricsSettings, collect_metrics

log = structlog.get_logger(__name__)

# Prometheus waits ten seconds for everything, unless told otherwise.
BACKLOG_SECONDS = 2.0

router = APIRouter(tags=["health"], include_in_schema=False)


async def admit(request: Request, credentials: CredentialsDep) -> None:
    """Let in whoever brings the token of the settings, if they have one.

    Raises:
        UnauthenticatedError: it is missing, or another one.
    """
    settings: MetricsSettings = request.app.state.metrics
    if settings.token is None:
        return
    sent = credentials.credentials if credentials else ""
    if not secrets.compare_digest(sent.encode(), settings.token.get_secret_value().encode()):
        raise UnauthenticatedError("Send the token of APP_METRICS__TOKEN as `Authorization: Bearer …`.")


@router.get("/metrics", dependencies=[Depends(admit)])
async def metrics(services: ServicesDep) -> Response:
    """Tell what was counted and timed since the process began, and how many jobs there are to do now."""
    try:
        async with asyncio.timeout(BACKLOG_SECONDS):
            show_backlog(await services.jobs.count_backlog())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the database, the rest is wanted all the more
        show_backlog([])
        log.warning("backlog.unknown", error=repr(error))
    written = await asyncio.to_thread(generate_latest, collect_metrics())
    return Response(written, media_type=CONTENT_TYPE_PLAIN_0_0_4)
