"""Probes: is it alive, has it started, can it serve."""

from fastapi import APIRouter, Response, status

from app.dependencies import ServicesDep
from app.health.schemas import Alive, Readiness

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> Alive:
    """Look at the process alone: restarting it is the only cure for a failure here."""
    return Alive()


@router.get("/startup")
async def startup(_: ServicesDep) -> Alive:
    """Answer once the models are loaded and warm."""
    return Alive()


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(services: ServicesDep, response: Response) -> Readiness:
    """Look at what serving needs: database, vector store, models; and at the queue, which it can do without."""
    readiness = await services.health.readiness()
    if readiness.status == "not_ready":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return readiness
