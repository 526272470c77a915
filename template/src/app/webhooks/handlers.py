"""The job that delivers a webhook."""

import time
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from app.database import Database
from app.errors import DropJobError, RetryJobError, UnprocessableError
from app.jobs.ports import Attempt, ReportProgress
from app.jobs.service import JobService
from app.webhooks import repository
from app.webhooks.ports import WebhookSender
from app.webhooks.service import DELIVER
from app.webhooks.signing import sign, write_body

# Seconds that a call may take, and those that its endpoint rests for each one more: a receiver that is slow, or silent,
# may not keep the workers from everybody else's jobs.
SLOW = 2.0
REST = 20.0


@dataclass(frozen=True, slots=True)
class DeliverWebhook:
    """Tells one endpoint of one event. It may hear of it twice, under the same id."""

    database: Database
    sender: WebhookSender
    jobs: JobService

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Send the message, signed, unless the endpoint is gone.

        Raises:
            DropJobError: the endpoint may not be called, or wants no more.
            RetryJobError: it did not say that it has the message.
            UpstreamError: it could not be reached in time.
        """
        endpoint_id = UUID(attempt.payload["endpoint_id"])
        async with self.database.transaction() as session:
            endpoint = await repository.find(session, attempt.owner_id, endpoint_id)
        if endpoint is None or endpoint.disabled_at is not None:
            return
        event = attempt.payload["event"]
        # The database does not keep the order of keys.
        body = write_body({name: event[name] for name in ("type", "timestamp", "data")})
        message_id = f"msg_{attempt.job_id.hex}"
        headers = sign(body, message_id=message_id, timestamp=int(time.time()), secret=endpoint.secret)
        started = time.monotonic()
        try:
            status = await self.sender.send(endpoint.url, headers, body)
        except UnprocessableError as error:
            raise DropJobError(error.detail) from error
        finally:
            await self._rest(attempt.owner_id, endpoint_id, time.monotonic() - started - SLOW)
        if status == HTTPStatus.GONE:
            async with self.database.transaction() as session:
                await repository.disable(session, attempt.owner_id, endpoint_id)
            raise DropJobError("The receiver answered with 410: it wants no more, and the webhook is disabled.")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise RetryJobError(f"The receiver answered with {status}.")

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Leave it at that: the job's row says what was not delivered, and why."""

    async def _rest(self, owner_id: UUID, endpoint_id: UUID, excess: float) -> None:
        if excess <= 0:
            return
        seconds = REST * excess
        async with self.database.transaction() as session:
            await repository.rest(session, owner_id, endpoint_id, seconds)
            theirs = {"endpoint_id": str(endpoint_id)}
            await self.jobs.delay_queued(session, owner_id=owner_id, kind=DELIVER, payload=theirs, seconds=seconds)
