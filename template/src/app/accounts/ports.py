"""What the deletion of an account needs from the outside, beside what documents need."""

from typing import Protocol
from uuid import UUID


class KeptAnswers(Protocol):
    """Answers of language models that are kept outside the database for a while."""

    async def forget(self, account_id: UUID) -> None:
        """Forget all answers that an account was given; harmless when there are none.

        Raises:
            UnavailableError: they are out of reach.
        """
