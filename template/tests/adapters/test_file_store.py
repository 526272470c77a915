"""The contract of the file store."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.adapters.file_store import FileStoreSettings, open_file_store
from app.documents.ports import FileStore
from app.errors import StartupError, UnavailableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[FileStore]:
    async with open_file_store(FileStoreSettings(folder=folder)) as opened:
        yield opened


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(store: FileStore, key: str) -> bytes:
    async with store.as_path(key) as path:
        return await asyncio.to_thread(path.read_bytes)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_comes_back_as_it_was_stored(store: FileStore) -> None:
    await store.save("owner/document-1", stream(b"first, ", b"", b"second"))
    assert await read(store, "owner/document-1") == b"first, second"


async def test_a_file_of_many_blocks_comes_back_whole(store: FileStore) -> None:
    chunks = [bytes([number % 251]) * 70_001 for number in range(50)]
    await store.save("owner/large", stream(*chunks))
    assert await read(store, "owner/large") == b"".join(chunks)


async def test_an_empty_file_can_be_stored(store: FileStore) -> None:
    await store.save("owner/empty", stream())
    assert await read(store, "owner/empty") == b""


async def test_all_files_of_an_owner_go_at_once_and_no_others(store: FileStore, folder: Path) -> None:
    owner, other = uuid4(), uuid4()
    for key in (f"{owner}/a", f"{owner}/b", f"{other}/a"):
        await store.save(key, stream(b"text"))
    await store.delete_all(owner)
    await store.delete_all(owner)
    assert files_in(folder) == [folder / str(other) / "a"]


async def test_storing_again_replaces_the_file(store: FileStore, folder: Path) -> None:
    await store.save("owner/document", stream(b"a long first version"))
    await store.save("owner/document", stream(b"second"))
    assert await read(store, "owner/document") == b"second"
    assert len(files_in(folder)) == 1


@pytest.mark.parametrize("before", [b"few bytes", b"x" * 3_000_000], ids=["small", "large"])
async def test_a_stream_that_breaks_off_leaves_nothing(store: FileStore, folder: Path, before: bytes) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield before
        raise ConnectionResetError("the client has gone")

    with pytest.raises(ConnectionResetError):
        await store.save("owner/document", broken())
    assert files_in(folder) == []


async def test_a_failed_replacement_leaves_the_old_file(store: FileStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"y" * 3_000_000
        raise ConnectionResetError("the client has gone")

    await store.save("owner/document", stream(b"old"))
    with pytest.raises(ConnectionResetError):
        await store.save("owner/document", broken())
    assert await read(store, "owner/document") == b"old"


async def test_a_cancelled_save_leaves_nothing(store: FileStore, folder: Path) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.save("owner/document", endless()))
    await waiting.wait()
    assert files_in(folder) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(folder) == []


async def test_a_save_cancelled_while_it_writes_leaves_nothing(store: FileStore, folder: Path) -> None:
    writing = asyncio.Event()

    async def long() -> AsyncIterator[bytes]:
        writing.set()
        for _ in range(1_000):
            yield b"x" * 3_000_000

    task = asyncio.create_task(store.save("owner/document", long()))
    await writing.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(folder) == []


async def test_what_is_not_stored_is_not_found(store: FileStore) -> None:
    await store.save("owner/document", stream(b"here"))
    for key in ("owner/other", "owner"):
        with pytest.raises(FileNotFoundError):
            await read(store, key)


async def test_a_deleted_file_is_gone_and_deleting_again_is_harmless(store: FileStore) -> None:
    await store.save("owner/document", stream(b"here"))
    for _ in range(2):
        await store.delete("owner/document")
    with pytest.raises(FileNotFoundError):
        await read(store, "owner/document")


@pytest.mark.parametrize(
    "key", ["", "/", "/etc/passwd", "../outside", "a/../../b", "a//b", "a/", "A", "a.txt", ".incoming/x", "a\\b", "a\n"]
)
async def test_a_key_that_could_lead_elsewhere_is_refused(store: FileStore, folder: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await store.save(key, stream(b"evil"))
    with pytest.raises(ValueError, match="not a key"):
        await store.delete(key)
    with pytest.raises(ValueError, match="not a key"):
        await read(store, key)
    assert files_in(folder.parent) == []


async def test_a_folder_that_cannot_be_written_is_unavailable(store: FileStore, folder: Path) -> None:
    (folder / ".incoming").rmdir()
    (folder / ".incoming").write_bytes(b"in the way")
    with pytest.raises(UnavailableError):
        await store.save("owner/document", stream(b"here"))


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StartupError, match="cannot be used"):
        async with open_file_store(FileStoreSettings(folder=tmp_path / "file" / "files")):
            pass


async def test_what_a_killed_process_left_is_cleared_away_but_not_what_is_under_way(folder: Path) -> None:
    incoming = folder / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "old").write_bytes(b"half")
    (incoming / "new").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(incoming / "old", (two_days_ago, two_days_ago))
    async with open_file_store(FileStoreSettings(folder=folder)):
        assert files_in(folder) == [incoming / "new"]


async def test_an_upload_that_ends_meanwhile_does_not_keep_the_store_from_opening(folder: Path) -> None:
    incoming = folder / ".incoming"
    incoming.mkdir(parents=True)
    # Listed, but gone: as an upload's file that is renamed right after the listing.
    (incoming / "ended").symlink_to("nowhere")
    async with open_file_store(FileStoreSettings(folder=folder)) as store:
        await store.save("owner/document", stream(b"here"))
