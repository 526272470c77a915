"""What answering needs from retrieval and from the stored prompts."""

from typing import Protocol

from app.answers.retrieval import Filters, Passage
from app.auth.caller import Caller
from app.prompts.service import FilledPrompt, PromptChoice


class PassageSearch(Protocol):
    """Finds passages in the caller's documents."""

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Find at most `top_k` passages, best first.

        Raises:
            AppError: the search could not be made.
        """


class PromptSource(Protocol):
    """Knows the prompts that operators have written."""

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Fill a prompt in.

        Raises:
            CallerError: there is no such prompt, it cannot be used yet, or a variable is missing or unknown.
        """

    async def find_active(self, name: str) -> FilledPrompt | None:
        """Find the active version of a prompt that takes no variables; None if there is none."""
