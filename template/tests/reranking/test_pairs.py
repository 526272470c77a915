"""Tests of the cost and the limits of pairs with a long query and many documents."""

import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from app.errors import UnprocessableError
from app.inference.token_input import MAX_TOTAL_TOKENS
from app.inference.token_thread import AT_ONCE, TokenThread, open_token_thread
from app.reranking.pairs import Pair, PairReader, PairTokenizer
from tests.reranking.graphs import PADDING, word_tokenizer

READER = PairReader(word_tokenizer(), max_tokens=8192, padding=PADDING)
SPECIAL = 3


@pytest.fixture
async def thread() -> AsyncIterator[TokenThread]:
    async with open_token_thread() as opened:
        yield opened


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the threads that read parts of the documents, in order."""
    names: list[str] = []
    read = PairTokenizer.read

    def watched(pair_tokenizer: PairTokenizer, documents: Sequence[str], first: int = 0) -> list[Pair]:
        names.append(threading.current_thread().name)
        return read(pair_tokenizer, documents, first)

    monkeypatch.setattr(PairTokenizer, "read", watched)
    return names


async def test_a_long_query_with_short_documents_is_joined_in_the_thread(
    thread: TokenThread, threads: list[str]
) -> None:
    query = "w1 " * (AT_ONCE // 10)
    pairs = await READER.read(query, ["w2"] * 10, thread)
    assert [len(pair.ids) for pair in pairs] == [AT_ONCE // 10 + 1 + SPECIAL] * 10
    assert threading.current_thread().name not in threads
    threads.clear()
    await READER.read("w1", ["w2"] * 10, thread)
    assert threads == [threading.current_thread().name]


async def test_a_query_that_is_too_much_for_so_many_documents_is_refused_before_any_is_read(
    thread: TokenThread, threads: list[str]
) -> None:
    with pytest.raises(UnprocessableError, match="more than 300,000 tokens together"):
        await READER.read("w1 " * 8000, ["w2"] * 1000, thread)
    assert threads == []


async def test_documents_may_have_the_most_tokens_with_the_query_and_not_one_more(thread: TokenThread) -> None:
    documents = ["w2"] * 1000
    query = "w1 " * (MAX_TOTAL_TOKENS // 1000 - 1 - SPECIAL)
    assert len(await READER.read(query, documents, thread)) == 1000
    with pytest.raises(UnprocessableError, match="more than 300,000 tokens together"):
        await READER.read(query, [*documents[1:], "w2 w3"], thread)
