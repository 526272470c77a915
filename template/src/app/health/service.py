"""What a process can tell of itself: whether its dependencies answer, and what it serves with."""

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
    """What requests are served with: some of the ports."""

    @property
    def circuit_breaker(self) -> CircuitBreaker:
        """Knows which language models fail."""

    @property
    def detector(self) -> Detector:
        """Finds objects in pictures."""

    @property
    def embedder(self) -> Embedder:
        """Turns texts into vectors."""

    @property
    def language_models(self) -> Mapping[str, LanguageModel]:
        """By every name that they can be asked for."""

    @property
    def models(self) -> ModelRepository:
        """The operator's own."""


@dataclass(frozen=True, slots=True)
class HealthService:
    """Pings the dependencies, each for at most `timeout` seconds.

    Attributes:
        optional: those without which requests are served all the same.
    """

    pings: Mapping[str, Ping]
    equipment: Equipment
    optional: Collection[str] = ()
    timeout: float = 2.0

    async def readiness(self) -> Readiness:
        """Tell whether requests can be served, with what, and what stands in the way."""
        errors, circuits = await self.check(), await self._look_at_circuits()
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
        """Ping all at once; gives a word about what is wrong, or None, for each."""
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

    async def _look_at_circuits(self) -> dict[str, CircuitState]:
        names = sorted({model.name for model in self.equipment.language_models.values()})
        return {name: (await self.equipment.circuit_breaker.look(name)).state for name in names}


def _state(name: str, version: str, provider: str) -> ModelState:
    return ModelState(name=name, version=version, provider=provider)
