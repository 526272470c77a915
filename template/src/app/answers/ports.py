"""Ports of answers: passage search and stored prompts."""

from typing import Protocol

from app.answers.retrieval import Filters, Passage
from app.auth.caller import Caller
from app.prompts.service import FilledPrompt, PromptChoice


class PassageSearch(Protocol):
    """Finds passages in the caller's documents."""

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Find at most `top_k` passages, best first.

        Raises:
            AppError: the search failed.
        """


class PromptSource(Protocol):
    """Provides the stored prompts."""

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Fill in the variables of a prompt.

        Raises:
            CallerError: there is no such prompt, it is not active yet, or a variable is missing or unknown.
        """

    async def find_active(self, name: str) -> FilledPrompt | None:
        """Find the active version of a prompt that takes no variables; None if there is none."""
