"""Tests of webhooks: signed, delivered at least once, to the owner only, and without private content."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import REVIEWER_SCOPES, Scope
from app.bootstrap import Services
from app.database import Database
from app.errors import DropJobError
from app.event_publisher import Event
from app.extraction.release import EXTRACTION, check_release
from app.jobs.models import JobState
from app.jobs.runner import JobRunner
from app.reviews.service import NewReview, ReviewService
from app.reviews.settings import ReviewsSettings
from app.webhooks.service import DELIVER
from tests.extraction.invoices import SCHEMA, TEXT
from tests.http import Person, join
from tests.jobs.fakes import FakeHandler, failing
from tests.jobs.rows import KIND, QUICK, add_job, read_job
from tests.webhooks.conftest import ATTEMPTS
from tests.webhooks.receiver import Receiver

PATH = "/v1/webhooks"
SECRET_TEXT = b"The lamp is made of brass."


async def register(person: Person, receiver: Receiver, **options: object) -> dict[str, Any]:
    response = await person.request("POST", PATH, json={"url": receiver.url, **options})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def deliveries(person: Person) -> list[dict[str, Any]]:
    jobs = (await person.request("GET", "/v1/jobs", params={"limit": 100})).json()["items"]
    return [job for job in jobs if job["kind"] == DELIVER]


async def end_job(person: Person, handler: FakeHandler) -> UUID:
    """End a job of this person in a service that sends webhooks."""
    services = person.services
    owner = await services.auth.ensure_account(person.email)
    job_id = await add_job(services.ports.database, owner.id)
    await JobRunner(services.ports.database, {KIND: handler}, QUICK, services.webhooks).run(job_id)
    return job_id


async def put_review(services: Services, owner_id: UUID) -> UUID:
    given = {"text": TEXT, "schema": SCHEMA, "instructions": None}
    async with services.ports.database.transaction() as session:
        new = NewReview(EXTRACTION, "The number is no string.", given, {"number": 2041})
        return (await services.reviews.record(session, new, owner_id=owner_id)).id


class FailingAnnouncer:
    """A publisher whose `record` fails."""

    async def record(self, session: AsyncSession, event: Event, *, owner_id: UUID) -> Sequence[UUID]:
        """Raise."""
        raise RuntimeError(event.type)

    async def start(self, recorded: Sequence[UUID]) -> None:
        """Do nothing; this is never reached."""


async def test_a_finished_job_is_told_signed_and_without_what_is_in_it(ada: Person, receiver: Receiver) -> None:
    secret = (await register(ada, receiver))["secret"]
    await ada.upload_and_index("lamp.txt", SECRET_TEXT)
    await ada.run_jobs()
    [message] = receiver.messages
    jobs = (await ada.request("GET", "/v1/jobs")).json()["items"]
    [ingestion] = [job for job in jobs if job["kind"] != DELIVER]
    assert message.is_signed_with(secret)
    assert not message.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert message.event.keys() == {"type", "timestamp", "data"}
    assert message.event["type"] == "job.succeeded"
    assert message.event["data"] == {"id": ingestion["id"], "kind": "documents.ingest"}
    assert datetime.fromisoformat(message.event["timestamp"]) <= datetime.now(UTC)
    assert int(message.headers["webhook-timestamp"]) <= time.time()
    assert b"lamp" not in message.body
    [delivery] = await deliveries(ada)
    assert (delivery["state"], message.id) == ("succeeded", f"msg_{UUID(delivery['id']).hex}")


async def test_a_decided_review_is_told_to_its_owner(ada: Person, receiver: Receiver) -> None:
    await register(ada, receiver)
    owner = await ada.services.auth.ensure_account(ada.email)
    review_id = await put_review(ada.services, owner.id)
    rob = await join(ada.client, ada.services, "rob@example.com", *REVIEWER_SCOPES)
    for action, body in (("claim", None), ("approve", {"version": 2})):
        assert (await rob.request("POST", f"/v1/reviews/{review_id}/{action}", json=body)).status_code == 200
    await ada.run_jobs()
    [message] = receiver.messages
    assert message.event["type"] == "review.decided"
    assert message.event["data"] == {"id": str(review_id), "kind": "extraction"}


async def test_failures_are_told_too_and_cancelled_jobs_and_deliveries_are_not(ada: Person, receiver: Receiver) -> None:
    await register(ada, receiver)
    failed = await end_job(ada, failing(DropJobError("The archive is gone.")))
    owner = await ada.services.auth.ensure_account(ada.email)
    cancelled = await add_job(ada.services.ports.database, owner.id)
    await ada.request("POST", f"/v1/jobs/{cancelled}/cancel")
    for _ in range(3):
        await ada.run_jobs()
    [message] = receiver.messages
    assert (message.event["type"], message.event["data"]["id"]) == ("job.failed", str(failed))
    assert b"archive" not in message.body
    assert len(await deliveries(ada)) == 1


async def test_an_endpoint_hears_of_what_it_asked_for_alone(ada: Person, receiver: Receiver) -> None:
    await register(ada, receiver, events=["job.failed"])
    await end_job(ada, FakeHandler())
    assert await deliveries(ada) == []


async def test_nobody_hears_of_what_is_somebody_elses(ada: Person, receiver: Receiver) -> None:
    eve = await join(ada.client, ada.services, "eve@example.com")
    await register(eve, receiver)
    await end_job(ada, FakeHandler())
    assert await deliveries(ada) == await deliveries(eve) == []


async def test_a_delivery_that_fails_is_tried_again_under_the_same_id(ada: Person, receiver: Receiver) -> None:
    secret = (await register(ada, receiver))["secret"]
    receiver.answers = [500, 302]
    await end_job(ada, FakeHandler())
    for _ in range(ATTEMPTS):
        await ada.run_jobs()
    assert [message.is_signed_with(secret) for message in receiver.messages] == [True] * 3
    assert len({message.id for message in receiver.messages}) == 1
    assert len({message.body for message in receiver.messages}) == 1
    [delivery] = await deliveries(ada)
    assert (delivery["state"], delivery["attempt"]) == ("succeeded", 3)


async def test_a_receiver_that_keeps_failing_is_given_up_and_the_owner_sees_why(
    ada: Person, receiver: Receiver
) -> None:
    await register(ada, receiver)
    receiver.answers = [500] * 10
    await end_job(ada, FakeHandler())
    for _ in range(ATTEMPTS + 2):
        await ada.run_jobs()
    [delivery] = await deliveries(ada)
    assert (delivery["state"], delivery["error"]) == ("failed", "The receiver answered with 500.")
    assert len(receiver.messages) == ATTEMPTS


async def test_a_receiver_that_is_gone_for_good_hears_nothing_more(ada: Person, receiver: Receiver) -> None:
    await register(ada, receiver)
    receiver.answers = [410]
    for _ in range(2):
        await end_job(ada, FakeHandler())
        await ada.run_jobs()
    assert len(receiver.messages) == 1
    assert (await ada.request("GET", PATH)).json()["items"][0]["disabled_at"] is not None


async def test_what_waits_for_a_deleted_endpoint_is_not_sent(ada: Person, receiver: Receiver) -> None:
    made = await register(ada, receiver)
    await end_job(ada, FakeHandler())
    assert (await ada.request("DELETE", f"{PATH}/{made['id']}")).status_code == 204
    await ada.run_jobs()
    assert receiver.messages == []
    assert [job["state"] for job in await deliveries(ada)] == ["succeeded"]


async def test_neither_a_job_nor_a_review_ends_unless_whom_to_tell_is_noted(
    ada: Person, database: Database, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    with pytest.raises(RuntimeError, match=r"job\.succeeded"):
        await JobRunner(database, {KIND: FakeHandler()}, QUICK, FailingAnnouncer()).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.RUNNING
    review_id = await put_review(ada.services, account_id)
    reviews = ReviewService(database, {EXTRACTION: check_release}, ReviewsSettings(), FailingAnnouncer())
    reviewer = replace(await ada.services.auth.ensure_account("rob@example.com"), scopes=REVIEWER_SCOPES)
    claimed = await reviews.claim(review_id, caller=reviewer)
    with pytest.raises(RuntimeError, match=r"review\.decided"):
        await reviews.reject(review_id, claimed.version, None, caller=reviewer)
    assert (await reviews.get(review_id, caller=reviewer)).state == "claimed"


async def test_a_secret_is_shown_once_and_every_endpoint_has_its_own(ada: Person, receiver: Receiver) -> None:
    made = [await register(ada, receiver) for _ in range(2)]
    assert made[0]["secret"] != made[1]["secret"]
    assert made[0]["events"] == ["job.failed", "job.succeeded", "review.decided"]
    listed = (await ada.request("GET", PATH)).json()["items"]
    assert [each["id"] for each in listed] == [made[1]["id"], made[0]["id"]]
    assert all("secret" not in each for each in listed)


async def test_what_belongs_to_somebody_else_does_not_exist(ada: Person, receiver: Receiver) -> None:
    made = await register(ada, receiver)
    eve = await join(ada.client, ada.services, "eve@example.com")
    assert (await eve.request("GET", PATH)).json()["items"] == []
    for person, webhook_id in ((eve, made["id"]), (ada, uuid4())):
        assert (await person.request("DELETE", f"{PATH}/{webhook_id}")).status_code == 404
    assert len((await ada.request("GET", PATH)).json()["items"]) == 1


async def test_an_account_has_no_more_endpoints_than_allowed_however_fast_they_come(
    ada: Person, receiver: Receiver
) -> None:
    answers = await asyncio.gather(*(ada.request("POST", PATH, json={"url": receiver.url}) for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": None},
        {"url": "no url"},
        {"url": "http://example.com/"},
        {"url": "https://169.254.169.254/"},
        {"url": "https://2852039166/"},
        {"url": "https://0xa9fea9fe/"},
        {"url": "https://[::ffff:10.0.0.1]/"},
        {"url": "https://ada:secret@example.com/"},
        {"url": "https://example.com/", "events": []},
        {"url": "https://example.com/", "events": None},
        {"url": "https://example.com/", "events": ["job.started"]},
        {"url": "https://example.com/", "secret": "whsec_mine"},
        {"url": "https://example.com/" + "x" * 2000},
    ],
)
async def test_what_is_no_endpoint_is_refused(ada: Person, body: dict[str, object]) -> None:
    assert (await ada.request("POST", PATH, json=body)).status_code == 422


async def test_endpoints_take_a_scope(client: httpx2.AsyncClient, services: Services) -> None:
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    assert (await chatter.request("GET", PATH)).status_code == 403
    assert (await chatter.request("POST", PATH, json={"url": "https://example.com/"})).status_code == 403
    assert (await chatter.request("DELETE", f"{PATH}/{uuid4()}")).status_code == 403
