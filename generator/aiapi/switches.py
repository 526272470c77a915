"""What a change of an option asks of the data, step by step: the template moves code only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Step:
    """One thing to do, with the command that does it; `with_old_code` means before the option is changed."""

    what: str
    command: str = ""
    with_old_code: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.what} {self.command}".strip()


# As the service's docs/operations.md has them, in its order.
_STEPS = {
    "vector_store": (
        Step("Stop the API and let the workers finish:", "uv run poe app jobs drain", with_old_code=True),
        Step("Write the vectors to a file:", "uv run poe app vectors export ../vectors.jsonl", with_old_code=True),
        Step("Stop the workers.", with_old_code=True),
        Step("Set the new store's APP_VECTOR_STORE__…, deploy; start neither API nor workers yet."),
        Step("Empty the new store if it was in use before: DROP TABLE passage_vectors, or delete the collection."),
        Step("Make the new store ready:", "uv run poe app migrate"),
        Step("Read the vectors back, nothing is embedded anew:", "uv run poe app vectors import ../vectors.jsonl"),
        Step("Start API and workers, and search for something."),
    ),
    "task_queue": (
        Step("Stop the API and let the workers finish:", "uv run poe app jobs drain", with_old_code=True),
        Step("Stop the workers.", with_old_code=True),
        Step("Set the new queue's APP_JOB_QUEUE__…, deploy, start API and workers."),
    ),
    "inference": (Step("Start API and workers where the new device is; the data stays as it is."),),
}


def steps(options: Iterable[str]) -> list[Step]:
    """Return what the change of these options asks for, in order, each step once."""
    return list(dict.fromkeys(step for option in options for step in _STEPS.get(option, ())))
