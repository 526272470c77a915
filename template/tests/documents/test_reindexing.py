"""Documents that are indexed anew, all of them at once or while others are searched."""

from dataclasses import dataclass, replace
from uuid import UUID

from app.auth.caller import Caller
from app.bootstrap import Services
from app.documents.service import DocumentService
from app.jobs.service import JobService
from tests.http import Person


@dataclass(frozen=True, slots=True)
class DeletingJobs(JobService):
    """Jobs during whose start another document is deleted by its owner."""

    documents: DocumentService
    owner: Caller
    doomed: list[UUID]

    async def enqueue(self, job_id: UUID) -> None:
        """Start a job, after the deletion."""
        while self.doomed:
            await self.documents.delete(self.doomed.pop(), caller=self.owner)
        await super(DeletingJobs, self).enqueue(job_id)


async def status(person: Person, document_id: str) -> str:
    found: str = (await person.request("GET", f"/v1/documents/{document_id}")).json()["status"]
    return found


async def test_documents_that_wait_to_be_indexed_take_no_places_among_the_results(ada: Person) -> None:
    nearest = await ada.upload_and_index("warranty.txt", b"The warranty lasts 24 months.")
    shown = await ada.upload_and_index("parts.txt", b"Spare parts are sent within three days.")
    assert (await ada.request("POST", f"/v1/documents/{nearest}/reindex")).status_code == 202
    body = {"query": "How long does the warranty last?", "top_k": 1}
    found = (await ada.request("POST", "/v1/search", json=body)).json()["items"]
    assert [passage["document_id"] for passage in found] == [shown]


async def test_all_are_indexed_anew_though_one_is_deleted_meanwhile(ada: Person, services: Services) -> None:
    kept, *doomed = [
        await ada.upload_and_index(f"{number}.txt", b"The warranty lasts 24 months.") for number in range(2)
    ]
    owner = await services.auth.ensure_account(ada.email)
    real = services.documents.jobs
    jobs = DeletingJobs(real.database, real.queue, services.documents, owner, [UUID(each) for each in doomed])
    assert await replace(services.documents, jobs=jobs).reindex_all(except_model=None) == 1
    await ada.run_jobs()
    assert await status(ada, kept) == "ready"


async def test_failed_documents_are_indexed_anew_with_all_others(ada: Person, services: Services) -> None:
    document_id = await ada.upload_and_index("warranty.txt", b"The warranty lasts 24 months.")
    accepted = (await ada.request("POST", f"/v1/documents/{document_id}/reindex")).json()
    await ada.request("POST", f"/v1/jobs/{accepted['job']['id']}/cancel")
    await ada.run_jobs()
    assert await status(ada, document_id) == "failed"
    current = services.embeddings.embedder.model.identity
    assert await services.documents.reindex_all(except_model=current) == 0
    assert await services.documents.reindex_all(except_model=None) == 1
    await ada.run_jobs()
    assert await status(ada, document_id) == "ready"
