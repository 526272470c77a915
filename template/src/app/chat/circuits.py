"""Circuits: whether a model that fails is asked."""

from dataclasses import dataclass
from typing import Literal, Protocol

CircuitState = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """Whether a model may be asked: `closed` is yes, `half_open` is once, to see whether it works again, `open` is no.

    Attributes:
        retry_after: seconds until the next such trial.
    """

    state: CircuitState = "closed"
    retry_after: float = 0


class CircuitBreaker(Protocol):
    """Remembers which models fail, so that nobody waits for them. It never raises."""

    @property
    def pause(self) -> float:
        """Seconds for which a model is left alone."""

    async def admit(self, model: str) -> Circuit:
        """Ask whether the model may be asked; `half_open` is given to one and keeps the others away for a while."""

    async def give_back(self, model: str) -> None:
        """Let somebody else have the trial, at once."""

    async def note_failure(self, model: str) -> bool:
        """Count a failure; tells whether it opened the circuit, or kept it open."""

    async def close(self, model: str) -> None:
        """Let everybody ask the model again."""

    async def look(self, model: str) -> Circuit:
        """See how the circuit stands, without taking the trial."""
