"""Who is asking, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.errors import ForbiddenError


class Scope(StrEnum):
    """A permission that a key may hold. People who sign in with a password hold all but those of operators."""

    ACCOUNT = "account"
    ANSWERS = "answers"
    CHAT = "chat"
    CLASSIFICATIONS = "classifications"
    DETECTIONS = "detections"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    EMBEDDINGS = "embeddings"
    EXTRACTIONS = "extractions"
    INFERENCE = "inference"
    JOBS = "jobs"
    RERANK = "rerank"
    PROMPTS_WRITE = "prompts:write"
    SEARCH = "search"
    USAGE = "usage"


ALL_SCOPES = frozenset(Scope)
# What concerns everybody's use of the service; `app create-key` makes a key that holds it.
OPERATOR_SCOPES = frozenset({Scope.PROMPTS_WRITE})


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated account, seen through the credentials that it used.

    Attributes:
        key_id: the API key, if it was one.
    """

    id: UUID
    scopes: frozenset[Scope] = ALL_SCOPES
    key_id: UUID | None = None

    def require(self, scope: Scope) -> None:
        """Pass if the scope is held.

        Raises:
            ForbiddenError: it is not.
        """
        if scope not in self.scopes:
            raise ForbiddenError(f"These credentials lack the scope {scope.value}.")
