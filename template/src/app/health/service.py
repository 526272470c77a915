"""Health of a process: whether its dependencies answer, and which models it serves."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from app.chat.circuits import CircuitBreaker, CircuitState
from app.chat.ports import DEFAULT, LanguageModel
from app.errors import AppError
from app.health.schemas import Check, ModelState, Readiness
from app.inference.embedder import Embedder
from app.inference.model_repository import ModelRepository
from app.vision.detector import Detector

log = structlog.get_logger(__name__)

Ping = Callable[[], Awaitable[None]]


class Equipment(Protocol):
    """The ports whose state the readiness probe reports."""

    @property
    def circuit_breaker(self) -> CircuitBreaker:
        """The circuits of the language models."""

    @property
    def detector(self) -> Detector:
        """The object detector."""

    @property
    def embedder(self) -> Embedder:
        """The embedding model."""

    @property
    def language_models(self) -> Mapping[str, LanguageModel]:
        """The language models by all their names."""

    @property
    def models(self) -> ModelRepository:
        """The registered models."""


@dataclass(frozen=True, slots=True)
class HealthService:
    """Pings the dependencies, each for at most `timeout` seconds.

    Attributes:
        optional: dependencies that serving does not need.
    """

    pings: Mapping[str, Ping]
    equipment: Equipment
    optional: Collection[str] = ()
    timeout: float = 2.0

    async def readiness(self) -> Readiness:
        """Return whether requests can be served, with the state of dependencies and models."""
        errors, circuits = await self.check(), await self._read_circuits()
        checks = {
            name: Check(ok=error is None, needed=name not in self.optional, error=error)
            for name, error in errors.items()
        }
        embedder, detector = self.equipment.embedder, self.equipment.detector
        return Readiness(
            status="ready" if all(check.ok for check in checks.values() if check.needed) else "not_ready",
            checks=checks,
            embedding_model=_state(embedder.model.name, embedder.model.version, embedder.provider),
            detection_model=_state(detector.model.manifest.name, detector.model.manifest.version, detector.provider),
            registered_models=[
                _state(model.name, model.version, model.provider) for model in self.equipment.models.registered()
            ],
            language_model=self.equipment.language_models[DEFAULT].name,
            language_models=circuits,
        )

    async def check(self) -> dict[str, str | None]:
        """Ping all dependencies concurrently; return an error code, or None, for each."""
        words = await asyncio.gather(*(self._ping(name, ping) for name, ping in self.pings.items()))
        return dict(zip(self.pings, words, strict=True))

    async def _ping(self, name: str, ping: Ping) -> str | None:
        try:
            async with asyncio.timeout(self.timeout):
                await ping()
        except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong
            log.warning("dependency.unavailable", dependency=name, error=repr(error))
            return error.code if isinstance(error, AppError) else "unavailable"
        return None

    async def _read_circuits(self) -> dict[str, CircuitState]:
        names = sorted({model.name for model in self.equipment.language_models.values()})
        return {name: (await self.equipment.circuit_breaker.look(name)).state for name in names}


def _state(name: str, version: str, provider: str) -> ModelState:
    return ModelState(name=name, version=version, provider=provider)
