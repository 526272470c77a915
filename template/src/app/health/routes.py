"""HTTP routes for the liveness, startup and readiness probes."""

from fastapi import APIRouter, Response, status

from app.dependencies import ServicesDep
from app.health.schemas import Alive, Readiness

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> Alive:
    """Liveness probe: check only the process itself. A failure means that it has to be restarted."""
    return Alive()


@router.get("/startup")
async def startup(_: ServicesDep) -> Alive:
    """Startup probe: answer once the models are loaded and warmed up."""
    return Alive()


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(services: ServicesDep, response: Response) -> Readiness:
    """Readiness probe: check the database, the vector store, the models and the queue, which is optional."""
    readiness = await services.health.readiness()
    if readiness.status == "not_ready":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return readiness
