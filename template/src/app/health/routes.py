"""Probes: is it alive, has it started, can it serve."""

from fastapi import APIRouter, Response, status

from app.dependencies import ServicesDep
from app.health.schemas import Alive, Check, ModelState, Readiness
from app.health.service import look_at_circuits

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
    errors = await services.health.check()
    optional = services.health.optional
    checks = {name: Check(ok=error is None, needed=name not in optional, error=error) for name, error in errors.items()}
    all_ok = all(check.ok for check in checks.values() if check.needed)
    if not all_ok:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    embedder = services.embeddings.embedder
    detector = services.detections.detector
    circuits = await look_at_circuits(services.ports.circuit_breaker, services.chat.language_models.values())
    return Readiness(
        status="ready" if all_ok else "not_ready",
        checks=checks,
        embedding_model=ModelState(
            name=embedder.model.name, version=embedder.model.version, provider=embedder.provider
        ),
        detection_model=ModelState(
            name=detector.model.manifest.name, version=detector.model.manifest.version, provider=detector.provider
        ),
        registered_models=[
            ModelState(name=model.name, version=model.version, provider=model.provider)
            for model in services.open_inference.repository.registered()
        ],
        language_model=services.answers.language_model.name,
        language_models=circuits,
    )
