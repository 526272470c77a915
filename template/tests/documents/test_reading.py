"""Reading files stays within its limits on time, memory and text."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import orjson
import psutil
import pytest

from app.documents.chunking import Chunk, chunk
from app.documents.parsing import Section
from app.documents.reading import MOST_BYTES_IN_THREAD, Reading, read
from app.errors import DropJobError
from app.inference.embedder import load_tokenizer
from app.inference.manifest import load_embedding_model
from tests.pdf import make_pdf, make_slow_pdf

MODEL = load_embedding_model(Path(__file__).parents[2] / "models" / "embedding")
TOKENIZER = load_tokenizer(MODEL)
WORDS = "The quick brown fox jumps over the lazy dog, again and again. "
# The splitter takes quadratic time: more than ten minutes.
ENDLESS = ">" * 1_000_000


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """A reading of a file that the test has yet to write."""
    return Reading(
        path=tmp_path / "file",
        media_type="text/plain",
        max_pages=100,
        max_characters=2_000_000,
        passage_tokens=64,
        model=MODEL.folder,
        seconds=60,
    )


def endless(reading: Reading) -> Reading:
    reading.path.write_text(ENDLESS)
    return replace(reading, media_type="text/markdown")


def readers() -> Sequence[psutil.Process]:
    """Return the reader processes of this process."""
    return [each for each in psutil.Process().children() if "app.documents.reading" in each.cmdline()]


async def wait_for_reader() -> psutil.Process:
    async with asyncio.timeout(60):
        while not readers():
            await asyncio.sleep(0.02)
    return readers()[0]


@pytest.mark.parametrize("length", [MOST_BYTES_IN_THREAD // 2, MOST_BYTES_IN_THREAD * 2])
async def test_short_and_long_texts_are_cut_alike(reading: Reading, length: int) -> None:
    text = (WORDS * length)[:length]
    reading.path.write_text(text)
    expected = chunk([Section(text, 0, None)], "text/plain", TOKENIZER, 64)
    found = await read(reading)
    assert [(each.text, each.start, each.page) for each in found] == [(e.text, e.start, e.page) for e in expected]


async def test_a_pdf_keeps_its_pages(reading: Reading) -> None:
    reading.path.write_bytes(make_pdf(["Installation.", "Warranty."]))
    found = await read(replace(reading, media_type="application/pdf"))
    assert [(each.text, each.start, each.page) for each in found] == [("Installation.", 0, 1), ("Warranty.", 16, 2)]
    assert all(isinstance(each, Chunk) and isinstance(each.id, UUID) for each in found)


async def test_nothing_goes_on_after_a_cancellation(reading: Reading) -> None:
    task = asyncio.create_task(read(endless(reading)))
    reader = await wait_for_reader()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not reader.is_running()


async def test_a_file_that_takes_too_long_is_given_up_with_its_reader(reading: Reading) -> None:
    reading.path.write_bytes(make_slow_pdf())
    slow = replace(reading, media_type="application/pdf", max_pages=5_000, seconds=5)
    task = asyncio.create_task(read(slow))
    reader = await wait_for_reader()
    with pytest.raises(DropJobError, match="longer than 5 seconds, the most that it may; split it"):
        await task
    assert not reader.is_running()


async def test_a_reader_ends_with_the_worker(reading: Reading) -> None:
    command = (sys.executable, "-m", "app.documents.reading")
    reader = await asyncio.create_subprocess_exec(*command, stdin=PIPE)
    assert reader.stdin is not None
    reader.stdin.write(orjson.dumps(endless(reading), default=str) + b"\n")
    await reader.stdin.drain()
    reader.stdin.close()
    async with asyncio.timeout(60):
        assert await reader.wait() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="bounds the memory of processes")
async def test_a_file_that_takes_too_much_memory_is_given_up(reading: Reading) -> None:
    with reading.path.open("wb") as file:
        file.truncate(400_000_000)
    with pytest.raises(DropJobError, match="memory"):
        await read(replace(reading, max_memory=400_000_000))


@pytest.mark.parametrize("media_type", ["text/plain", "application/pdf"])
async def test_a_file_with_too_much_text_is_refused_with_the_remedy(reading: Reading, media_type: str) -> None:
    pages = [WORDS] * 3
    content = make_pdf(pages) if media_type == "application/pdf" else "".join(pages).encode()
    reading.path.write_bytes(content)
    with pytest.raises(DropJobError, match="more than 100 characters of text; split it"):
        await read(replace(reading, media_type=media_type, max_characters=100))


async def test_a_reader_that_dies_fails_the_attempt(reading: Reading) -> None:
    task = asyncio.create_task(read(endless(reading)))
    (await wait_for_reader()).kill()
    with pytest.raises(RuntimeError, match="status -9"):
        await task
