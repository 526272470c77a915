"""Access to recorded predictions for their owners."""

from dataclasses import dataclass

from app.auth.caller import Caller, Scope
from app.database import Database
from app.pages import PageRequest
from app.predictions import repository
from app.predictions.models import Prediction


@dataclass(frozen=True, slots=True)
class PredictionService:
    """List callers' recorded predictions."""

    database: Database

    async def list_for(self, page: PageRequest, *, caller: Caller) -> tuple[list[Prediction], str | None]:
        """List the caller's predictions, newest first.

        Raises:
            ForbiddenError: the caller lacks the scope `predictions`.
            UnprocessableError: the cursor is invalid.
        """
        caller.require(Scope.PREDICTIONS)
        async with self.database.transaction() as session:
            return await repository.list_for(session, caller.id, page)
