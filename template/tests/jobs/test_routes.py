"""Tests of jobs over HTTP."""

import httpx2
import pytest

from app.bootstrap import Services
from app.settings import Settings
from tests.http import Person, join


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def start_job(person: Person) -> str:
    job_id: str = (await person.upload("notes.txt", b"Some notes.")).json()["job"]["id"]
    return job_id


async def test_a_job_can_be_followed_and_listed(ada: Person) -> None:
    job_id = await start_job(ada)
    job = (await ada.request("GET", f"/v1/jobs/{job_id}")).json()
    assert (job["kind"], job["state"], job["progress"], job["attempt"]) == ("documents.ingest", "queued", 0.0, 0)
    assert [item["id"] for item in (await ada.request("GET", "/v1/jobs")).json()["items"]] == [job_id]


async def test_a_cancelled_job_is_not_run_and_its_document_says_so(ada: Person) -> None:
    job_id = await start_job(ada)
    assert (await ada.request("POST", f"/v1/jobs/{job_id}/cancel")).json()["state"] == "cancelled"
    assert (await ada.request("POST", f"/v1/jobs/{job_id}/cancel")).status_code == 200
    await ada.run_jobs()
    [document] = (await ada.request("GET", "/v1/documents")).json()["items"]
    assert (document["status"], document["error"]) == ("failed", "The job was cancelled.")


async def test_what_was_deleted_goes_whoever_would_cancel_its_job(ada: Person, settings: Settings) -> None:
    document_id = await ada.upload_and_index("a.txt", b"The sky is blue.")
    assert (await ada.request("DELETE", f"/v1/documents/{document_id}")).status_code == 204
    purge = (await ada.request("GET", "/v1/jobs")).json()["items"][0]
    assert purge["kind"] == "documents.purge"
    refused = await ada.request("POST", f"/v1/jobs/{purge['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await ada.run_jobs()
    assert not any(path.is_file() for path in settings.file_store.folder.rglob("*"))


async def test_a_job_that_has_ended_cannot_be_cancelled(ada: Person) -> None:
    job_id = await start_job(ada)
    await ada.run_jobs()
    response = await ada.request("POST", f"/v1/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "conflict")


async def test_nobody_sees_or_cancels_the_jobs_of_others(
    client: httpx2.AsyncClient, services: Services, ada: Person
) -> None:
    job_id = await start_job(ada)
    eve = await join(client, services, "eve@example.com")
    assert (await eve.request("GET", f"/v1/jobs/{job_id}")).status_code == 404
    assert (await eve.request("POST", f"/v1/jobs/{job_id}/cancel")).status_code == 404
    assert (await eve.request("GET", "/v1/jobs")).json()["items"] == []
