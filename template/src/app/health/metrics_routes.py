"""The route for Prometheus metrics."""

import asyncio
import secrets

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.dependencies import CredentialsDep, ServicesDep
from app.errors import UnauthenticatedError
from app.jobs.backlog import refresh_backlog
from app.observability.metrics import MetricsSettings

router = APIRouter(tags=["health"], include_in_schema=False)


async def admit(request: Request, credentials: CredentialsDep) -> None:
    """Check the token, if one is configured.

    Raises:
        UnauthenticatedError: it is missing or wrong.
    """
    settings: MetricsSettings = request.app.state.metrics
    if settings.token is None:
        return
    sent = credentials.credentials if credentials else ""
    if not secrets.compare_digest(sent.encode(), settings.token.get_secret_value().encode()):
        raise UnauthenticatedError("Send the token of APP_METRICS__TOKEN as `Authorization: Bearer …`.")


@router.get("/metrics", dependencies=[Depends(admit)])
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Return the metrics of this process, and the current backlog of jobs."""
    await refresh_backlog(services.jobs.count_backlog)
    written = await asyncio.to_thread(generate_latest, request.app.state.collected)
    return Response(written, media_type=CONTENT_TYPE_PLAIN_0_0_4)
