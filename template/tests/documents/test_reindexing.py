"""Reindexing documents, all at once or while others are searched."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from app.auth.caller import Caller
from app.bootstrap import Services
from app.documents import repository
from app.documents.chunking import Chunk
from app.documents.service import INGEST, DocumentService
from app.jobs.ports import Attempt
from app.jobs.service import JobService
from app.settings import Settings
from tests.http import Person

TEXT = b"The warranty lasts 24 months."


@dataclass(frozen=True, slots=True)
class DeletingJobs(JobService):
    """A job service that deletes the doomed documents before it starts a job."""

    documents: DocumentService
    owner: Caller
    doomed: list[UUID]

    async def enqueue(self, job_id: UUID) -> None:
        """Delete the doomed documents, then start the job."""
        while self.doomed:
            await self.documents.delete(self.doomed.pop(), caller=self.owner)
        await super(DeletingJobs, self).enqueue(job_id)


async def status(person: Person, document_id: str) -> str:
    found: str = (await person.request("GET", f"/v1/documents/{document_id}")).json()["status"]
    return found


async def test_documents_that_wait_to_be_indexed_take_no_places_among_the_results(ada: Person) -> None:
    nearest = await ada.upload_and_index("warranty.txt", TEXT)
    shown = await ada.upload_and_index("parts.txt", b"Spare parts are sent within three days.")
    assert (await ada.request("POST", f"/v1/documents/{nearest}/reindex")).status_code == 202
    body = {"query": "How long does the warranty last?", "top_k": 1}
    found = (await ada.request("POST", "/v1/search", json=body)).json()["items"]
    assert [passage["document_id"] for passage in found] == [shown]


async def test_all_are_indexed_anew_though_one_is_deleted_meanwhile(ada: Person, services: Services) -> None:
    kept, *doomed = [await ada.upload_and_index(f"{number}.txt", TEXT) for number in range(2)]
    owner = await services.auth.ensure_account(ada.email)
    real = services.documents.jobs
    jobs = DeletingJobs(real.database, real.queue, services.documents, owner, [UUID(each) for each in doomed])
    assert await replace(services.documents, jobs=jobs).reindex_all(except_model=None) == 1
    await ada.run_jobs()
    assert await status(ada, kept) == "ready"


async def begin_again(person: Person, document_id: str) -> str:
    """Request that a document is indexed again; return the job."""
    accepted = (await person.request("POST", f"/v1/documents/{document_id}/reindex")).json()
    job_id: str = accepted["job"]["id"]
    return job_id


async def test_failed_documents_are_indexed_anew_with_all_others(ada: Person, services: Services) -> None:
    accepted = (await ada.upload("warranty.txt", TEXT)).json()
    document_id = accepted["document"]["id"]
    await ada.request("POST", f"/v1/jobs/{accepted['job']['id']}/cancel")
    await ada.run_jobs()
    assert await status(ada, document_id) == "failed"
    current = services.embeddings.embedder.model.identity
    assert await services.documents.reindex_all(except_model=current) == 0
    assert await services.documents.reindex_all(except_model=None) == 1
    await ada.run_jobs()
    assert await status(ada, document_id) == "ready"


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_a_document_whose_passages_are_still_there_stays_searchable(
    ada: Person, settings: Settings, end: str
) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    job_id = await begin_again(ada, document_id)
    if end == "cancelled":
        await ada.request("POST", f"/v1/jobs/{job_id}/cancel")
    else:
        next(settings.file_store.folder.rglob(f"*{document_id}*")).unlink()
    await ada.run_jobs()
    document = (await ada.request("GET", f"/v1/documents/{document_id}")).json()
    assert (document["status"], bool(document["error"])) == ("ready", True)
    found = (await ada.request("POST", "/v1/search", json={"query": "warranty"})).json()["items"]
    assert [passage["document_id"] for passage in found] == [document_id]


@pytest.mark.parametrize("lost", ["passages", "vectors", "model"])
async def test_a_document_of_which_something_is_missing_has_failed(ada: Person, services: Services, lost: str) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    owner, job_id = await services.auth.ensure_account(ada.email), UUID(await begin_again(ada, document_id))
    async with services.ports.database.transaction() as session:
        if lost == "passages":
            new = Chunk(uuid4(), "The warranty lasts 36 months.", 0, 29, None)
            document = await repository.find(session, owner.id, UUID(document_id))
            assert document is not None
            await repository.replace_passages(session, document, [new])
        elif lost == "model":
            await repository.change(session, owner.id, UUID(document_id), embedding_model="older@1")
    if lost == "vectors":
        await services.ports.vectors.delete_document(owner_id=owner.id, document_id=UUID(document_id))
    attempt = Attempt(job_id, owner.id, {"document_id": document_id}, number=1)
    await services.job_runner.handlers[INGEST].give_up(attempt, "It cannot be indexed.")
    assert await status(ada, document_id) == "failed"


async def test_a_search_shows_what_copies_of_a_document_say_once(ada: Person) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        await ada.upload_and_index(name, TEXT)
    other = await ada.upload_and_index("parts.txt", b"Spare parts are sent within three days.")
    body = {"query": "How long does the warranty last?", "top_k": 2}
    first, second = (await ada.request("POST", "/v1/search", json=body)).json()["items"]
    assert (first["text"], second["document_id"]) == (TEXT.decode(), other)
