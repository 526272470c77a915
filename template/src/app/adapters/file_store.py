"""Uploaded files in a local folder, or on a volume that every process mounts."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from app.documents.ports import FileStore
from app.errors import StartupError, UnavailableError

KEY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
INCOMING = ".incoming"  # no key has a dot, so no key leads here
BLOCK_BYTES = 1024 * 1024  # a trip to a thread costs more than a small write
ABANDONED_SECONDS = 24 * 60 * 60  # older than any upload that still goes on


class FileStoreSettings(BaseModel):
    """Where files are kept."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(description="the same folder for the API and the workers")


class LocalFileStore:
    """Files in a folder, one per key.

    A key is made of lower-case letters, digits, hyphens and single slashes; any other is a ValueError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream whole or not at all, replacing what was there.

        Raises:
            UnavailableError: the folder cannot be written; perhaps the disk is full.
        """
        target = self._path(key)
        temporary = self._folder / INCOMING / uuid4().hex
        gathered = bytearray()
        try:
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= BLOCK_BYTES:
                    await _in_thread(partial(_append, temporary, bytes(gathered)))
                    gathered.clear()
            await _in_thread(partial(_publish, temporary, bytes(gathered), target))
        except BaseException:
            await _in_thread(partial(temporary.unlink, missing_ok=True))
            raise

    @asynccontextmanager
    async def as_path(self, key: str) -> AsyncIterator[Path]:
        """Provide the file as a readable local path while the block runs.

        Raises:
            FileNotFoundError: nothing is stored under the key.
        """
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise FileNotFoundError(f"No file is stored under {key}.")
        yield path

    async def delete(self, key: str) -> None:
        """Delete a file; harmless if there is none."""
        await _in_thread(partial(self._path(key).unlink, missing_ok=True))

    async def delete_all(self, owner_id: UUID) -> None:
        """Delete all files of an owner, those without a document included; harmless when there are none.

        Raises:
            UnavailableError: the folder cannot be written, or is written to at this moment.
        """
        await _in_thread(partial(_remove_folder, self._path(str(owner_id))))

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key of the file store.")
        return self._folder / key


def _append(path: Path, block: bytes) -> None:
    with path.open("ab") as file:
        file.write(block)


def _publish(temporary: Path, rest: bytes, target: Path) -> None:
    """Write what is left, make sure that it is on the disk, and give the file its name."""
    with temporary.open("ab") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    if os.name == "posix":  # elsewhere folders cannot be synchronised
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_folder(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


async def _in_thread(work: Callable[[], object]) -> None:
    """Run blocking work; when cancelled, wait for it first, so that no clean-up overtakes it."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise
    except OSError as error:
        raise UnavailableError("Files cannot be stored at the moment.") from error


def _prepare(folder: Path) -> None:
    """Make the folder, and clear away what killed processes have left half-written."""
    incoming = folder / INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    for path in incoming.iterdir():
        with suppress(FileNotFoundError):  # its upload ends at this moment
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()


@asynccontextmanager
async def open_file_store(settings: FileStoreSettings) -> AsyncIterator[FileStore]:
    """Open the folder, creating it if it is missing.

    Raises:
        StartupError: the folder cannot be created or read.
    """
    try:
        await asyncio.to_thread(_prepare, settings.folder)
    except OSError as error:
        raise StartupError(f"The file store's folder {settings.folder} cannot be used: {error.strerror}.") from error
    yield LocalFileStore(settings.folder)
