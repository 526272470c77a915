"""The port of the circuit breaker, which skips models that keep failing."""

from dataclasses import dataclass
from typing import Literal, Protocol

CircuitState = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of a model's circuit: `closed` admits requests, `half_open` one trial request, `open` none.

    Attributes:
        retry_after: seconds until the next trial request.
    """

    state: CircuitState = "closed"
    retry_after: float = 0


class CircuitBreaker(Protocol):
    """Tracks failing models, so that requests skip them. Its methods never raise."""

    @property
    def pause(self) -> float:
        """Seconds for which a failing model is skipped."""

    async def admit(self, model: str) -> Circuit:
        """Return the state of the circuit; on `half_open`, this request has the trial and others are held off."""

    async def give_back(self, model: str) -> None:
        """Return an unused trial; another request may take it at once."""

    async def note_failure(self, model: str) -> bool:
        """Count a failure and return whether it opened the circuit or kept it open."""

    async def close(self, model: str) -> None:
        """Close the circuit."""

    async def look(self, model: str) -> Circuit:
        """Return the state of the circuit without taking the trial."""
