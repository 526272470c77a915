"""Passages whose order by distance is the reverse of the order that a small cross-encoder gives them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import OverloadedError
from app.reranking.ports import CrossEncoder, Relevance
from tests.http import Person
from tests.reranking.graphs import WORDS, weights

MAX_TOKENS = 32
QUESTION = "How long does the warranty last?"
SCALE = 0.1
HEAVY = WORDS[int(weights().argmax())]
# Nearest to the question first; the cross-encoder scores the last one highest.
TEXTS = [
    "The warranty lasts 24 months.",
    f"The warranty of the battery lasts 6 months. {HEAVY} {HEAVY} {HEAVY}",
    f"The warranty of spare parts lasts 3 months. {HEAVY} {HEAVY} {HEAVY} {HEAVY} {HEAVY}",
]


async def upload_all(person: Person) -> None:
    """Index every text as its own document."""
    for number, text in enumerate(TEXTS):
        await person.upload_and_index(f"{number}.txt", text.encode())


async def search(person: Person, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Search for the question."""
    response = await person.request("POST", "/v1/search", json={"query": QUESTION} | body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def texts(found: dict[str, Any]) -> list[str]:
    """Return the texts of the passages found."""
    return [item["text"] for item in found["items"]]


@dataclass
class Listener:
    """A cross-encoder that records its calls and delegates to `judge`, or is too busy without one."""

    judge: CrossEncoder | None = None
    heard: list[tuple[Hashable, str, Sequence[str]]] = field(default_factory=list)
    identity: str = "listener@1"

    async def score(
        self, query: str, documents: Sequence[str], *, owner: Hashable, within: float | None = None
    ) -> Relevance:
        """Record the call, then score as `judge` does."""
        self.heard.append((owner, query, documents))
        if self.judge is None:
            raise OverloadedError("Too busy.", retry_after=7)
        return await self.judge.score(query, documents, owner=owner, within=within)
