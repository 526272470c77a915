"""Files to passages, within bounds of time and memory; `python -m app.documents.reading` is the process that does it.

What is in a file decides how long its reading takes, and a thread that takes too long cannot be stopped.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, cast
from uuid import UUID

import orjson
import structlog

from app.documents.chunking import Chunk, chunk
from app.documents.media_types import MediaType
from app.documents.parsing import parse
from app.errors import DropJobError
from app.inference.token_input import open_counter

log = structlog.get_logger(__name__)

# Bytes of text that are read sooner than a process starts; the worst of them takes two seconds.
AT_ONCE = 32_000
# In the others even a short file may take long.
SOON_READ = {MediaType.MARKDOWN, MediaType.TEXT}
MOST_MEMORY = 2 << 30
TOO_MUCH_MEMORY = "The file cannot be read: it takes more memory than a file may."

# Whoever reads documents reads many, and all with one model.
_counter = lru_cache(maxsize=1)(open_counter)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read, and how.

    Attributes:
        max_pages: the longest PDF that is read.
        max_characters: the longest text that is read.
        passage_tokens: the longest passage, special tokens not counted.
        model: the folder of the embedding model, whose tokenizer counts them.
        seconds: how long reading it may take.
        max_memory: bytes of address space, part of which is never used; Linux alone has a process kept to it.
    """

    path: Path
    media_type: str
    max_pages: int
    max_characters: int
    passage_tokens: int
    model: Path
    seconds: float
    max_memory: int = MOST_MEMORY


async def read(reading: Reading) -> list[Chunk]:
    """Read a file's passages; a call that is cancelled leaves nothing long at work.

    Raises:
        DropJobError: the file is damaged, encrypted, too long, takes too long, or holds no text.
    """
    size = (await asyncio.to_thread(reading.path.stat)).st_size
    if reading.media_type in SOON_READ and size <= AT_ONCE:
        chunks, _ = await asyncio.to_thread(_read, reading)
        return chunks
    try:
        async with asyncio.timeout(reading.seconds):
            status, output = await _run(orjson.dumps(reading, default=str))
    except TimeoutError as error:
        # Tried again it would take as long, and keep the worker from everybody else's jobs as long.
        detail = f"Reading the file takes longer than {reading.seconds:g} seconds, the most that it may; split it."
        raise DropJobError(detail) from error
    if status == -signal.SIGABRT:  # what libraries do that were refused memory
        raise DropJobError(TOO_MUCH_MEMORY)
    if status != 0:
        raise RuntimeError(f"The process that reads a file has ended with status {status}.")
    return await asyncio.to_thread(_understand, output)


async def _run(request: bytes) -> tuple[int, bytes]:
    """Have a process do one reading; gives its exit status and what it has written."""
    command = (sys.executable, "-m", "app.documents.reading")
    # A session of its own: signals to the worker's group must not end what has a grace period.
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        # It stays open for as long as this process lives.
        cast("StreamWriter", process.stdin).write(request + b"\n")
        output = await cast("StreamReader", process.stdout).read()
        return await process.wait(), output
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _understand(output: bytes) -> list[Chunk]:
    answer: Mapping[str, Any] = orjson.loads(output)
    if "error" in answer:
        raise DropJobError(answer["error"])
    if answer["pages_without_text"]:
        log.warning("document.pages_without_text", pages=answer["pages_without_text"])
    return [Chunk(UUID(each.pop("id")), **each) for each in answer["chunks"]]


def _read(reading: Reading) -> tuple[list[Chunk], int]:
    """Read the passages, and count the pages without text."""
    sections = parse(reading.path, reading.media_type, reading.max_pages, reading.max_characters)
    blank = sum(not section.text.strip() for section in sections)
    chunks = chunk(sections, reading.media_type, _counter(reading.model), reading.passage_tokens)
    return chunks, blank


def main() -> None:
    """Do the reading that standard input asks for, and write to standard output what came of it."""
    asked = orjson.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    logging.disable()  # damaged files give rise to any number of warnings
    asked |= {name: Path(asked[name]) for name in ("path", "model")}
    reading = Reading(**asked)
    _bound_memory(reading.max_memory)
    answer: dict[str, Any]
    try:
        chunks, blank = _read(reading)
        answer = {"chunks": chunks, "pages_without_text": blank}
    except DropJobError as error:
        answer = {"error": error.detail}
    except MemoryError:
        answer = {"error": TOO_MUCH_MEMORY}
    sys.stdout.buffer.write(orjson.dumps(answer))


def _end_with_parent() -> None:
    """End at once when whoever asked is gone and cannot kill this process any more."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _bound_memory(most: int) -> None:
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - there is none on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
