"""Cases labelled by people, and the score of a check on them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"


@dataclass
class Score:
    """Counts of true positives, false positives and misses of a check."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __str__(self) -> str:
        """Format precision, recall and the counts as the documentation does."""
        precision, recall = self.right / (self.right + self.wrong), self.right / (self.right + self.missed)
        return f"{precision:.3f} | {recall:.3f} | {self.right} | {self.wrong} | {self.missed}"


def load_cases(name: str) -> list[dict[str, Any]]:
    """Read the cases of a file."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
