"""Who is asking, and what they may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.errors import ForbiddenError


class Scope(StrEnum):
    """A permission that a key may hold."""

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
    MODELS = "models"
    PREDICTIONS = "predictions"
    PROMPTS_WRITE = "prompts:write"
    RERANK = "rerank"
    REVIEWS = "reviews"
    REVIEWS_DECIDE = "reviews:decide"
    SEARCH = "search"
    USAGE = "usage"
    WEBHOOKS = "webhooks"


# They reach what belongs to others, so only operators give them away: `app create-key --role`. No key makes another one
# that holds them, which would outlive its own revocation.
OPERATOR_SCOPES = frozenset({Scope.MODELS, Scope.PROMPTS_WRITE, Scope.REVIEWS_DECIDE})
REVIEWER_SCOPES = frozenset({Scope.REVIEWS, Scope.REVIEWS_DECIDE})
# What people may do with what is theirs; who signs in with a password holds all of it.
ACCOUNT_SCOPES = frozenset(Scope) - OPERATOR_SCOPES


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated account, seen through the credentials that it used.

    Attributes:
        key_id: the API key, if it was one.
        expires_at: when that key expires, if it does.
    """

    id: UUID
    scopes: frozenset[Scope] = ACCOUNT_SCOPES
    key_id: UUID | None = None
    expires_at: datetime | None = None

    def require(self, scope: Scope) -> None:
        """Pass if the scope is held.

        Raises:
            ForbiddenError: it is not.
        """
        if scope not in self.scopes:
            raise ForbiddenError(f"These credentials lack the scope {scope.value}.")
