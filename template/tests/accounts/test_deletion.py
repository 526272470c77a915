"""Tests of account deletion, including changes that happen while it runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.accounts.deletion import AccountDeletion
from app.adapters.file_store import LocalFileStore
from app.bootstrap import Services
from app.database import Database
from app.documents.ports import VectorQuery
from app.documents.service import INGEST, file_key
from app.errors import UnavailableError
from app.jobs.ports import Attempt, JobHandler, ReportProgress
from app.jobs.settings import JobsSettings
from app.settings import Settings
from tests.http import Person

TEXT = b"The warranty lasts 24 months."


def ignore(line: str) -> None:
    """Ignore the report."""


async def id_of(person: Person) -> UUID:
    return UUID((await person.request("GET", "/v1/auth/me")).json()["id"])


def files_of(settings: Settings, account_id: UUID) -> list[str]:
    folder = settings.file_store.folder / str(account_id)
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def count_vectors(services: Services, account_id: UUID) -> int:
    embedder = services.ports.embedder
    query = (await embedder.embed(["warranty"])).vectors[0].tolist()
    found = await services.ports.vectors.search(VectorQuery(account_id, embedder.model.identity, query, 1000))
    return len(found)


async def remaining_rows(database: Database, account_id: UUID) -> dict[str, int]:
    """Count the rows that refer to an account, by table."""
    naming = text(
        "SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c JOIN pg_attribute a "
        "ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.confrelid = 'accounts'::regclass"
    )
    async with database.transaction() as session:
        columns = [("accounts", "id"), *(await session.execute(naming))]
        counts = {
            table: await session.scalar(
                text(f"SELECT count(*) FROM {table} WHERE {column} = :id"),  # noqa: S608 - names from the catalogue
                {"id": account_id},
            )
            for table, column in columns
        }
    return {table: count for table, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Stalling:
    """An ingestion that stalls after its first vectors are written."""

    real: JobHandler
    written: asyncio.Event

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Run the ingestion up to that point."""

        async def stall(fraction: float) -> None:
            assert fraction == 1
            self.written.set()
            await asyncio.Event().wait()

        await self.real.run(attempt, stall)

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Delegate to the real handler."""
        await self.real.give_up(attempt, reason)


class UnavailableFileStore(LocalFileStore):
    """A file store that is unavailable."""

    async def delete(self, key: str) -> None:
        """Raise."""
        raise UnavailableError("Files cannot be deleted at the moment.")


@dataclass(slots=True)
class Meanwhile:
    """A stand-in for the answer cache that changes data just before the rows are deleted, on its first call only."""

    work: Callable[[], Awaitable[object]]
    calls: int = 0

    async def forget(self, account_id: UUID) -> None:
        """Run the change on the first call."""
        self.calls += 1
        if self.calls == 1:
            await self.work()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings under which known callers are admitted for a while after their account is locked."""
    settings.auth.cache_seconds = 300
    return settings


@pytest.fixture
async def ada_id(ada: Person) -> UUID:
    """Return the id of the account to delete."""
    return await id_of(ada)


async def test_nothing_is_left_of_a_deleted_account_and_everything_of_others(
    ada: Person, eve: Person, deletion: AccountDeletion, services: Services, settings: Settings
) -> None:
    ada_id, eve_id = await id_of(ada), await id_of(eve)
    for person in (ada, eve):
        await person.upload_and_index("a.txt", TEXT)
        await person.upload("b.txt", TEXT)
    before = await remaining_rows(services.ports.database, eve_id)
    owned = await remaining_rows(services.ports.database, ada_id)
    assert owned.keys() >= {"accounts", "api_keys", "documents", "jobs"}
    await deletion.delete(ada_id, ignore)
    assert await remaining_rows(services.ports.database, ada_id) == {}
    assert (files_of(settings, ada_id), await count_vectors(services, ada_id)) == ([], 0)
    assert await remaining_rows(services.ports.database, eve_id) == before
    assert (len(files_of(settings, eve_id)), await count_vectors(services, eve_id)) == (2, 1)
    await deletion.delete(ada_id, ignore)


async def test_a_file_that_no_row_names_goes_with_its_owner(
    ada_id: UUID, deletion: AccountDeletion, services: Services, settings: Settings
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield TEXT

    await services.ports.files.save(file_key(ada_id, uuid4()), content())
    await deletion.delete(ada_id, ignore)
    assert files_of(settings, ada_id) == []


async def test_every_table_lets_an_account_go(database: Database) -> None:
    holding = text(
        "SELECT conname FROM pg_constraint WHERE confrelid = 'accounts'::regclass AND confdeltype NOT IN ('c', 'n')"
    )
    async with database.transaction() as session:
        assert (await session.scalars(holding)).all() == []


async def test_a_deletion_that_found_a_store_away_is_finished_by_the_next(
    ada: Person, ada_id: UUID, deletion: AccountDeletion, services: Services, settings: Settings
) -> None:
    await ada.upload_and_index("a.txt", TEXT)
    with pytest.raises(UnavailableError):
        await replace(deletion, files=UnavailableFileStore(settings.file_store.folder)).delete(ada_id, ignore)
    assert len(files_of(settings, ada_id)) == 1
    async with services.ports.database.transaction() as session:
        assert (await session.execute(text("SELECT is_active FROM accounts"))).scalars().all() == [False]
    await deletion.delete(ada_id, ignore)
    assert (files_of(settings, ada_id), await remaining_rows(services.ports.database, ada_id)) == ([], {})


async def test_what_a_worker_writes_meanwhile_is_removed(
    ada: Person, ada_id: UUID, deletion: AccountDeletion, services: Services
) -> None:
    slow = Stalling(services.job_runner.handlers[INGEST], asyncio.Event())
    runner = replace(services.job_runner, handlers={INGEST: slow}, settings=JobsSettings(lease=3))
    job = (await ada.upload("a.txt", TEXT)).json()["job"]["id"]
    running = asyncio.create_task(runner.run(UUID(job)))
    await slow.written.wait()
    assert await count_vectors(services, ada_id) == 1
    said: list[str] = []
    await deletion.delete(ada_id, said.append)
    await running
    assert any("workers have let go" in line for line in said)
    assert (await count_vectors(services, ada_id), await remaining_rows(services.ports.database, ada_id)) == (0, {})
    # The queue may still hold the job's id.
    await services.job_runner.run(UUID(job))


async def test_what_a_worker_that_died_has_written_is_removed_when_its_lease_is_over(
    ada: Person, ada_id: UUID, deletion: AccountDeletion, services: Services
) -> None:
    job = UUID((await ada.upload("a.txt", TEXT)).json()["job"]["id"])
    await ada.run_jobs()
    async with services.ports.database.transaction() as session:
        dead = "UPDATE jobs SET state = 'running', finished_at = NULL, lease_until = now() + interval '1 second'"
        await session.execute(text(dead))
    await deletion.delete(ada_id, ignore)
    assert (await count_vectors(services, ada_id), await remaining_rows(services.ports.database, ada_id)) == (0, {})
    await services.job_runner.run(job)


async def test_documents_that_their_owner_had_deleted_but_no_worker_has_cleaned_up_are(
    ada: Person, ada_id: UUID, deletion: AccountDeletion, services: Services, settings: Settings
) -> None:
    document_id = await ada.upload_and_index("a.txt", TEXT)
    assert (await ada.request("DELETE", f"/v1/documents/{document_id}")).status_code == 204
    assert (len(files_of(settings, ada_id)), await count_vectors(services, ada_id)) == (1, 1)
    await deletion.delete(ada_id, ignore)
    assert (files_of(settings, ada_id), await count_vectors(services, ada_id)) == ([], 0)


@pytest.mark.parametrize("event", ["added", "indexed anew", "deleted"])
async def test_a_document_that_changes_in_the_last_moment_is_noticed(
    ada: Person, deletion: AccountDeletion, services: Services, settings: Settings, event: str
) -> None:
    ada_id = await id_of(ada)
    document_id = await ada.upload_and_index("a.txt", TEXT)
    path = settings.file_store.folder / file_key(ada_id, UUID(document_id))

    async def change() -> None:
        # A request that was admitted before the account was locked.
        if event == "added":
            await ada.upload("b.txt", TEXT)
            return
        path.write_bytes(TEXT)
        if event == "deleted":
            await ada.request("DELETE", f"/v1/documents/{document_id}")
            return
        job = (await ada.request("POST", f"/v1/documents/{document_id}/reindex")).json()["job"]["id"]
        await services.job_runner.run(UUID(job))
        assert await count_vectors(services, ada_id) == 1

    meanwhile = Meanwhile(change)
    await replace(deletion, forget_answers=meanwhile.forget).delete(ada_id, ignore)
    assert meanwhile.calls == 2
    assert (files_of(settings, ada_id), await count_vectors(services, ada_id)) == ([], 0)
    assert await remaining_rows(services.ports.database, ada_id) == {}
