"""Documents over HTTP, from upload to deletion."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from app.bootstrap import Services
from app.documents import repository
from app.jobs.models import JobState
from app.settings import Settings
from tests.http import Person, join
from tests.jobs.rows import change_job
from tests.pdf import make_pdf, make_slow_pdf

TEXT = b"The warranty lasts 24 months.\n\nSpare parts are sent within three days."


@pytest.fixture
async def eve(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "eve@example.com")


async def search(person: Person, query: str, **body: object) -> list[dict[str, Any]]:
    response = await person.request("POST", "/v1/search", json={"query": query} | body)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def test_an_upload_is_accepted_with_a_job_and_becomes_ready(ada: Person) -> None:
    accepted = await ada.upload("warranty.txt", TEXT, data={"tags": ["manual", "2026"]})
    assert accepted.status_code == 202
    body = accepted.json()
    assert body["document"]["status"] == "received"
    assert body["document"]["tags"] == ["manual", "2026"]
    assert body["job"]["state"] == "queued"
    await ada.run_jobs()
    document = (await ada.request("GET", f"/v1/documents/{body['document']['id']}")).json()
    assert (document["status"], document["error"]) == ("ready", None)
    job = (await ada.request("GET", f"/v1/jobs/{body['job']['id']}")).json()
    assert (job["state"], job["progress"]) == ("succeeded", 1.0)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["Unix", "Windows"])
async def test_a_passage_says_where_it_stands(ada: Person, line_end: bytes) -> None:
    content = TEXT.replace(b"\n", line_end)
    await ada.upload_and_index("warranty.txt", content)
    [passage] = await search(ada, "How long is the warranty?")
    text = content.decode()
    assert text[passage["start"] : passage["end"]] == passage["text"]
    assert passage["page"] is None


async def test_a_passage_of_a_pdf_names_its_page(ada: Person) -> None:
    pages = ["Installation needs two screws.", "The warranty lasts 24 months.", "Returns go to Leiden."]
    await ada.upload_and_index("manual.pdf", make_pdf(pages))
    found = await search(ada, "How long is the warranty?", top_k=1)
    assert (found[0]["page"], found[0]["text"]) == (2, "The warranty lasts 24 months.")


async def test_the_type_is_told_by_the_content(ada: Person) -> None:
    disguised = await ada.upload("notes.txt", make_pdf(["A PDF after all."]))
    assert disguised.json()["document"]["media_type"] == "application/pdf"
    late = await ada.upload("notes.txt", b"\xff before the header\n" + make_pdf(["A PDF after all."]))
    assert late.json()["document"]["media_type"] == "application/pdf"
    markdown = await ada.upload("notes.md", b"# Title\n\nA PDF begins with %PDF-1.7 or the like.")
    assert markdown.json()["document"]["media_type"] == "text/markdown"


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0", b"PK\x03\x04\0\0", b"caf\xe9 au lait"])
async def test_what_cannot_be_read_is_refused_at_the_door(ada: Person, content: bytes) -> None:
    response = await ada.upload("file.pdf", content)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_an_empty_file_is_refused(ada: Person) -> None:
    assert (await ada.upload("empty.txt", b"")).status_code == 422


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(ada: Person, settings: Settings) -> None:
    settings.documents.max_bytes = 1000
    response = await ada.upload("large.txt", b"x" * 1001)
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    assert (await ada.request("GET", "/v1/documents")).json()["items"] == []
    assert [path for path in settings.file_store.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.pdf", b"%PDF-1.7\nnot really", "damaged"),
        ("blank.pdf", make_pdf([" "]), "No text"),
        ("blank.txt", b"  \n ", "No text"),
        ("late.txt", b"a" * 2_000_000 + b"\xff", "not UTF-8"),
    ],
)
async def test_a_file_without_usable_text_fails_with_its_reason(
    ada: Person, name: str, content: bytes, reason: str
) -> None:
    document_id = await ada.upload_and_index(name, content)
    document = (await ada.request("GET", f"/v1/documents/{document_id}")).json()
    assert document["status"] == "failed"
    assert reason in document["error"]


async def test_a_file_that_takes_too_long_to_read_fails_without_another_try(ada: Person, settings: Settings) -> None:
    settings.documents.reading_seconds = 3
    accepted = (await ada.upload("slow.pdf", make_slow_pdf())).json()
    await ada.run_jobs()
    document = (await ada.request("GET", f"/v1/documents/{accepted['document']['id']}")).json()
    job = (await ada.request("GET", f"/v1/jobs/{accepted['job']['id']}")).json()
    assert (document["status"], job["state"], job["attempt"]) == ("failed", "failed", 1)
    assert document["error"] == job["error"]
    assert "longer than 3 seconds" in job["error"]


async def test_indexing_twice_leaves_what_indexing_once_leaves(ada: Person) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    before = [(item["text"], item["start"]) for item in await search(ada, "warranty", top_k=50)]
    assert (await ada.request("POST", f"/v1/documents/{document_id}/reindex")).status_code == 202
    await ada.run_jobs()
    assert [(item["text"], item["start"]) for item in await search(ada, "warranty", top_k=50)] == before


async def test_a_job_that_was_killed_behind_its_last_step_leaves_the_document_as_it_is(
    ada: Person, settings: Settings
) -> None:
    accepted = (await ada.upload("warranty.txt", TEXT)).json()
    document_id, job_id = accepted["document"]["id"], accepted["job"]["id"]
    await ada.run_jobs()
    # Indexing the document again would fail.
    for file in settings.file_store.folder.rglob(f"*{document_id}*"):
        file.unlink()
    unsettled = {"state": JobState.QUEUED, "finished_at": None, "enqueued_at": None}
    await change_job(ada.services.ports.database, UUID(job_id), unsettled)
    await ada.run_jobs()
    assert (await ada.request("GET", f"/v1/jobs/{job_id}")).json()["state"] == "succeeded"
    assert (await ada.request("GET", f"/v1/documents/{document_id}")).json()["status"] == "ready"
    assert len(await search(ada, "How long is the warranty?")) == 1


async def test_a_repeated_upload_with_the_same_key_makes_one_document(ada: Person, settings: Settings) -> None:
    key = {"Idempotency-Key": "import-7"}
    first, second = [(await ada.upload("a.txt", TEXT, headers=key)).json() for _ in range(2)]
    assert first["document"]["id"] == second["document"]["id"]
    assert first["job"]["id"] == second["job"]["id"]
    other = await ada.upload("b.txt", b"Another text.", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "unprocessable")
    assert len((await ada.request("GET", "/v1/documents")).json()["items"]) == 1
    assert len([path for path in settings.file_store.folder.rglob("*") if path.is_file()]) == 1


async def test_a_deleted_document_is_gone_everywhere(ada: Person, settings: Settings) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    assert (await ada.request("DELETE", f"/v1/documents/{document_id}")).status_code == 204
    assert await search(ada, "warranty") == []
    assert (await ada.request("GET", f"/v1/documents/{document_id}")).status_code == 404
    await ada.run_jobs()
    assert [path for path in settings.file_store.folder.rglob("*") if path.is_file()] == []


async def test_tags_restrict_a_search_and_can_be_changed(ada: Person) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    changed = await ada.request("PATCH", f"/v1/documents/{document_id}", json={"tags": ["manual"]})
    assert changed.json()["tags"] == ["manual"]
    assert await search(ada, "warranty", filters={"tags": ["manual"]})
    assert await search(ada, "warranty", filters={"tags": ["recipe"]}) == []
    assert await search(ada, "warranty", filters={"document_ids": [document_id]})
    assert await search(ada, "warranty", filters={"document_ids": [str(uuid4())]}) == []


async def test_nobody_sees_the_documents_of_others(ada: Person, eve: Person) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    assert await search(eve, "warranty") == []
    assert await search(eve, "warranty", filters={"document_ids": [document_id]}) == []
    assert (await eve.request("GET", "/v1/documents")).json()["items"] == []
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reindex")]:
        response = await eve.request(method, f"/v1/documents/{document_id}{path}", json={"tags": ["mine"]})
        assert response.status_code == 404, (method, path)
    assert await search(ada, "warranty")


async def test_a_list_is_read_page_by_page_newest_first(ada: Person) -> None:
    for number in range(5):
        await ada.upload(f"{number}.txt", TEXT)
    names: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await ada.request("GET", "/v1/documents", params=params)).json()
        names += [item["filename"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]
    assert (await ada.request("GET", "/v1/documents", params={"cursor": "garbage"})).status_code == 422
    assert (await ada.request("GET", "/v1/documents", params={"limit": 101})).status_code == 422


async def test_documents_of_another_embedding_model_are_refused_until_indexed_anew(
    ada: Person, services: Services
) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT)
    caller = await services.auth.ensure_account("ada@example.com")
    async with services.ports.database.transaction() as session:
        await repository.change(session, caller.id, UUID(document_id), embedding_model="older@1")
    response = await ada.request("POST", "/v1/search", json={"query": "warranty"})
    assert (response.status_code, response.json()["code"]) == (409, "embedding_model_mismatch")
    assert "older@1" in response.json()["detail"]
    current = services.embeddings.embedder.model.identity
    assert await services.documents.reindex_all(except_model=current) == 1
    response = await ada.request("POST", "/v1/search", json={"query": "warranty"})
    assert (response.status_code, response.json()["code"]) == (409, "embedding_model_mismatch")
    await ada.run_jobs()
    assert await search(ada, "warranty")
