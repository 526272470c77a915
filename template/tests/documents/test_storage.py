"""The storage limit per account."""

import asyncio

import httpx2
import pytest

from app.bootstrap import Services
from app.settings import Settings
from tests.http import Person, join

FILE = b"The warranty lasts 24 months.\n" * 10


@pytest.fixture(autouse=True)
def room_for_three(settings: Settings) -> None:
    """Limit every account to three of these files."""
    settings.documents.max_stored_bytes = 3 * len(FILE)


def count_files(settings: Settings) -> int:
    return sum(path.is_file() for path in settings.file_store.folder.rglob("*"))


async def test_uploads_at_once_keep_to_what_an_account_may_store(ada: Person, settings: Settings) -> None:
    answers = await asyncio.gather(*(ada.upload(f"{number}.txt", FILE) for number in range(9)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [413] * 6
    assert len((await ada.request("GET", "/v1/documents")).json()["items"]) == 3
    assert count_files(settings) == 3


async def test_a_refusal_names_what_is_used_and_what_may_be_and_deleting_makes_room(
    client: httpx2.AsyncClient, services: Services, ada: Person
) -> None:
    for name in ("a.txt", "b.txt"):
        await ada.upload(name, FILE)
    refused = await ada.upload("c.txt", FILE + b"!")
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (413, "storage_exhausted")
    assert all(number in problem["detail"] for number in ("600", "900", "301"))
    eve = await join(client, services, "eve@example.com")
    assert (await eve.upload("c.txt", FILE)).status_code == 202
    [newest, _] = (await ada.request("GET", "/v1/documents")).json()["items"]
    await ada.request("DELETE", f"/v1/documents/{newest['id']}")
    assert (await ada.upload("c.txt", FILE + b"!")).status_code == 202


async def test_a_repeated_upload_is_answered_though_there_is_no_room_for_another(
    ada: Person, settings: Settings
) -> None:
    settings.documents.max_stored_bytes = len(FILE)
    key = {"Idempotency-Key": "import-7"}
    first, second = [await ada.upload("a.txt", FILE, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["document"]["id"] == second.json()["document"]["id"]


async def test_nothing_is_refused_where_there_is_no_limit(ada: Person, settings: Settings) -> None:
    settings.documents.max_stored_bytes = 0
    assert [(await ada.upload(f"{number}.txt", FILE)).status_code for number in range(4)] == [202] * 4
