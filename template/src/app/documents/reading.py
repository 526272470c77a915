"""Reads files into passages, within limits of time and memory; `python -m app.documents.reading` is the subprocess.

Some files take very long to read, and unlike a process, a thread cannot be stopped.
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

# Bytes of text that are read faster than a process starts; the worst case takes two seconds.
MOST_BYTES_IN_THREAD = 32_000
# In the other formats even a short file may take long.
READ_IN_THREAD = {MediaType.MARKDOWN, MediaType.TEXT}
MOST_MEMORY = 2 << 30
TOO_MUCH_MEMORY = "The file cannot be read: it takes more memory than a file may."

# All documents are read with the same model.
_counter = lru_cache(maxsize=1)(open_counter)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file to read, and the limits.

    Attributes:
        max_pages: the most pages of a PDF.
        max_characters: the most characters of text.
        passage_tokens: the most tokens of a passage, special tokens not counted.
        model: the folder of the embedding model, whose tokenizer counts them.
        seconds: the time limit.
        max_memory: the subprocess's limit of address space in bytes; enforced only on Linux.
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
    """Read a file's passages; cancelling the call kills the subprocess.

    Raises:
        DropJobError: the file is damaged, encrypted, too long, takes too long, or holds no text.
    """
    size = (await asyncio.to_thread(reading.path.stat)).st_size
    if reading.media_type in READ_IN_THREAD and size <= MOST_BYTES_IN_THREAD:
        chunks, _ = await asyncio.to_thread(_read, reading)
        return chunks
    try:
        async with asyncio.timeout(reading.seconds):
            status, output = await _run(orjson.dumps(reading, default=str))
    except TimeoutError as error:
        # A retry would take as long and block the worker again.
        detail = f"Reading the file takes longer than {reading.seconds:g} seconds, the most that it may; split it."
        raise DropJobError(detail) from error
    if status == -signal.SIGABRT:  # how libraries end when an allocation fails
        raise DropJobError(TOO_MUCH_MEMORY)
    if status != 0:
        raise RuntimeError(f"The process that reads a file has ended with status {status}.")
    return await asyncio.to_thread(_parse_output, output)


async def _run(request: bytes) -> tuple[int, bytes]:
    """Run the subprocess for one file; return its exit status and its output."""
    command = (sys.executable, "-m", "app.documents.reading")
    # In its own session: signals to the worker's process group must not end it within the grace period.
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        # Standard input stays open for as long as this process lives.
        cast("StreamWriter", process.stdin).write(request + b"\n")
        output = await cast("StreamReader", process.stdout).read()
        return await process.wait(), output
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _parse_output(output: bytes) -> list[Chunk]:
    answer: Mapping[str, Any] = orjson.loads(output)
    if "error" in answer:
        raise DropJobError(answer["error"])
    if answer["pages_without_text"]:
        log.warning("document.pages_without_text", pages=answer["pages_without_text"])
    return [Chunk(UUID(each.pop("id")), **each) for each in answer["chunks"]]


def _read(reading: Reading) -> tuple[list[Chunk], int]:
    """Return the passages, and the number of pages without text."""
    sections = parse(reading.path, reading.media_type, reading.max_pages, reading.max_characters)
    blank = sum(not section.text.strip() for section in sections)
    chunks = chunk(sections, reading.media_type, _counter(reading.model), reading.passage_tokens)
    return chunks, blank


def main() -> None:
    """Read the file that the JSON on standard input describes; write the result as JSON to standard output."""
    request = orjson.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    logging.disable()  # damaged files cause many warnings
    request |= {name: Path(request[name]) for name in ("path", "model")}
    reading = Reading(**request)
    _limit_memory(reading.max_memory)
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
    """Exit as soon as the parent process, which would enforce the time limit, is gone."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _limit_memory(most: int) -> None:
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not available on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
