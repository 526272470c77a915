"""The authenticated caller and its scopes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.errors import ForbiddenError


class Scope(StrEnum):
    """A permission of an API key."""

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


# These give access to others' data, so only operators can grant them: `app create-key --role`. A key cannot create
# another one with them, which would outlive its revocation.
OPERATOR_SCOPES = frozenset({Scope.MODELS, Scope.PROMPTS_WRITE, Scope.REVIEWS_DECIDE})
REVIEWER_SCOPES = frozenset({Scope.REVIEWS, Scope.REVIEWS_DECIDE})
# Scopes for an account's own data; signing in with a password grants all of them.
ACCOUNT_SCOPES = frozenset(Scope) - OPERATOR_SCOPES


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated account, with the scopes of its credentials.

    Attributes:
        key_id: id of the API key, if one was used.
        expires_at: when that key expires, if it does.
    """

    id: UUID
    scopes: frozenset[Scope] = ACCOUNT_SCOPES
    key_id: UUID | None = None
    expires_at: datetime | None = None

    def require(self, scope: Scope) -> None:
        """Check that the caller has a scope.

        Raises:
            ForbiddenError: it does not.
        """
        if scope not in self.scopes:
            raise ForbiddenError(f"These credentials lack the scope {scope.value}.")
