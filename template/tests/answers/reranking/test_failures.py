"""Searches whose cross-encoder is busy, slow, broken or unknown."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.adapters.model_session import open_model_session
from app.answers.passage_reranking import PassageReranker
from app.answers.settings import SearchSettings
from app.bootstrap import Services, open_ports
from app.errors import StartupError
from app.inference.placement import Placement
from app.inference.ports import ModelSession
from app.reranking.manifest import load_cross_encoder
from app.reranking.reranker import Reranker, open_reranker
from app.settings import Settings
from tests.answers.reranking.judged import QUESTION, TEXTS, Listener, search, texts, upload_all
from tests.http import Person
from tests.inference.faulty_session import FaultySession, Mischief
from tests.reranking.graphs import cross_encoder, register_cross_encoder

WITHOUT_WAITING = SearchSettings(reranker="judge", rerank_timeout=0.1)


async def test_a_cross_encoder_that_is_too_busy_leaves_the_nearest_in_their_order(
    services: Services, settings: Settings, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    judge = PassageReranker(lambda: nullcontext(Listener()), settings.search)
    retrieval = replace(services.retrieval, reranker=judge)
    with capture_logs() as logs:
        found = await retrieval.search(QUESTION, caller=caller, top_k=2)
    assert [(passage.text, passage.rerank_score) for passage in found] == [(text, None) for text in TEXTS[:2]]
    [entry] = [each for each in logs if each["event"] == "search.not_reranked"]
    assert (entry["log_level"], entry["model"], entry["code"]) == ("warning", "listener@1", "overloaded")
    assert "warranty" not in str(logs)


async def test_a_question_that_the_cross_encoder_cannot_read_is_searched_without_it(ada: Person) -> None:
    await upload_all(ada)
    found = await search(ada, query=f"{QUESTION} " * 8)
    assert len(found["items"]) == len(TEXTS)
    assert "reranker" not in found
    assert not any("rerank_score" in item for item in found["items"])


class TestInvalidScores:
    """Searches with a cross-encoder whose scores are not finite numbers."""

    @pytest.fixture
    def search_settings(self, folder: Path) -> SearchSettings:
        register_cross_encoder(folder, cross_encoder(scale=float("inf")), name="wild")
        return SearchSettings(reranker="wild", rerank_timeout=60)

    async def test_passages_keep_their_order(self, ada: Person) -> None:
        await upload_all(ada)
        found = await search(ada)
        assert texts(found) == TEXTS
        assert "reranker" not in found


@asynccontextmanager
async def open_stuck_reranker(settings: Settings, folder: Path) -> AsyncIterator[tuple[Reranker, threading.Event]]:
    """Open a cross-encoder that is stuck in a request until the event is set."""
    mischief, begun, free = Mischief(), threading.Event(), threading.Event()

    def strike() -> None:
        begun.set()
        free.wait()

    model = load_cross_encoder(folder / "judge-1")

    @asynccontextmanager
    async def open_session(threads: int) -> AsyncIterator[ModelSession]:
        async with open_model_session(settings.model_session, model.graph, threads) as session:
            yield FaultySession(session, mischief)

    async with open_reranker(model, Placement(open_session, settings.batching, cores=1)) as reranker:
        mischief.strike = strike
        first = asyncio.create_task(reranker.score("w1", ["w2"], owner=None))
        await asyncio.to_thread(begun.wait)
        try:
            yield reranker, free
        finally:
            free.set()
            await first


async def test_a_stuck_cross_encoder_holds_a_search_up_no_longer_than_allowed_and_is_asked_again(
    settings: Settings, folder: Path, services: Services, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    async with open_stuck_reranker(settings, folder) as (reranker, free):
        judge = PassageReranker(lambda: nullcontext(reranker), settings.search)
        impatient = replace(services.retrieval, reranker=replace(judge, settings=WITHOUT_WAITING))
        found = await impatient.search(QUESTION, caller=caller)
        assert [(passage.text, passage.rerank_score) for passage in found] == [(text, None) for text in TEXTS]
        free.set()
        patient = replace(services.retrieval, reranker=judge)
        assert [passage.text for passage in await patient.search(QUESTION, caller=caller)] == TEXTS[::-1]


async def test_nothing_waits_for_the_cross_encoder_when_the_client_has_gone(
    settings: Settings, folder: Path, services: Services, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    async with open_stuck_reranker(settings, folder) as (reranker, _):
        judge = PassageReranker(lambda: nullcontext(reranker), settings.search)
        retrieval = replace(services.retrieval, reranker=judge)
        searching = asyncio.create_task(retrieval.search(QUESTION, caller=caller))
        while reranker.batcher.waiting < len(TEXTS):
            await asyncio.sleep(0.01)
        searching.cancel()
        await asyncio.wait({searching})
        assert reranker.batcher.waiting == 0


async def test_an_unknown_reranker_fails_the_startup_of_a_serving_process(settings: Settings) -> None:
    wrong = settings.model_copy(update={"search": SearchSettings(reranker="jury")})
    with pytest.raises(StartupError, match=r"APP_SEARCH__RERANKER names jury; .* are judge@1\.$"):
        async with open_ports(wrong, serving=True):
            pass
    # A worker does not search, so it opens no cross-encoder.
    async with open_ports(wrong) as ports:
        assert ports.models.registered() == []
