"""The steps that a change of an option requires for the data; an update changes code only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class DataStep:
    """One step, with the command that does it; `with_old_code` means before the option is changed."""

    what: str
    command: str = ""
    with_old_code: bool = False

    def __str__(self) -> str:
        """Return the step in one line."""
        return f"{self.what} {self.command}".strip()


# The same steps as in the service's docs/deployment.md, in the same order.
_STEPS = {
    "vector_store": (
        DataStep("Stop the API and let the workers finish:", "uv run poe app jobs drain", with_old_code=True),
        DataStep("Write the vectors to a file:", "uv run poe app vectors export ../vectors.jsonl", with_old_code=True),
        DataStep("Stop the workers.", with_old_code=True),
        DataStep("Set the new store's APP_VECTOR_STORE__… and deploy, but start neither API nor workers yet."),
        DataStep("If the new store was in use before, empty it: DROP TABLE passage_vectors, or delete the collection."),
        DataStep("Prepare the new store:", "uv run poe app migrate"),
        DataStep("Read the vectors back, without embedding again:", "uv run poe app vectors import ../vectors.jsonl"),
        DataStep("Start API and workers, and try a search."),
    ),
    "task_queue": (
        DataStep("Stop the API and let the workers finish:", "uv run poe app jobs drain", with_old_code=True),
        DataStep("Stop the workers.", with_old_code=True),
        DataStep("Set the new queue's APP_JOB_QUEUE__…, deploy, start API and workers."),
    ),
    "inference": (DataStep("Start API and workers on machines with the new device; the data does not change."),),
}


def required_steps(options: Iterable[str]) -> list[DataStep]:
    """Return the steps that a change of these options requires, in order, each once."""
    return list(dict.fromkeys(step for option in options for step in _STEPS.get(option, ())))
