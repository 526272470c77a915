"""The handler of jobs that deliver webhooks."""

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

# A call that takes longer than SLOW seconds pauses its endpoint for REST seconds per excess second, so that a slow
# receiver does not keep the workers from other jobs.
SLOW = 2.0
REST = 20.0


@dataclass(frozen=True, slots=True)
class DeliverWebhook:
    """Delivers one event to one endpoint, at least once; repeats have the same message id."""

    database: Database
    sender: WebhookSender
    jobs: JobService

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Send the signed message, unless the endpoint was deleted or disabled.

        Raises:
            DropJobError: the endpoint's address is not allowed, or it answered with 410, which disables it.
            RetryJobError: the endpoint did not answer with 2xx.
            UpstreamError: the endpoint could not be reached in time.
        """
        endpoint_id = UUID(attempt.payload["endpoint_id"])
        async with self.database.transaction() as session:
            endpoint = await repository.find(session, attempt.owner_id, endpoint_id)
        if endpoint is None or endpoint.disabled_at is not None:
            return
        event = attempt.payload["event"]
        # JSONB does not keep the order of keys.
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
        """Do nothing: the job's row records what was not delivered, and why."""

    async def _rest(self, owner_id: UUID, endpoint_id: UUID, excess: float) -> None:
        if excess <= 0:
            return
        seconds = REST * excess
        async with self.database.transaction() as session:
            await repository.rest(session, owner_id, endpoint_id, seconds)
            theirs = {"endpoint_id": str(endpoint_id)}
            await self.jobs.delay_queued(session, owner_id=owner_id, kind=DELIVER, payload=theirs, seconds=seconds)
