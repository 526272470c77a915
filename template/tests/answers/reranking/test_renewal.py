"""Searches and answers while their cross-encoder is replaced by another version."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.answers.settings import SearchSettings
from app.auth.caller import Scope
from app.bootstrap import Services
from tests.answers.reranking.judged import MAX_TOKENS, QUESTION, SCALE, TEXTS, search, texts, upload_all
from tests.http import Person, join
from tests.inference.tensor_graphs import affine, register
from tests.reranking.graphs import cross_encoder, register_cross_encoder

SEARCHERS = 8
VERSIONS = 5


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    """An operator, with a key from the command line, who has documents."""
    person = await join(client, services, "operator@example.com", *Scope)
    await upload_all(person)
    return person


async def change(person: Person, verb: str, name: str = "judge") -> httpx2.Response:
    return await person.request("POST", f"/v2/repository/models/{name}/{verb}")


def add(folder: Path, version: str, sign: int = -1, **changes: object) -> None:
    """Register a version that by default ranks in the reverse order of the first."""
    graph = cross_encoder(scale=sign * SCALE)
    register_cross_encoder(folder, graph, version=version, max_tokens=MAX_TOKENS, **changes)


def judged(found: dict[str, Any]) -> tuple[str, list[str]]:
    return found["reranker"], texts(found)


async def answer(person: Person) -> str:
    response = await person.request("POST", "/v1/answers", json={"question": QUESTION, "top_k": 1})
    written: str = response.json()["answer"]
    return written


async def test_a_newer_version_judges_searches_and_answers_at_once(operator: Person, folder: Path) -> None:
    assert judged(await search(operator)) == ("judge@1", TEXTS[::-1])
    assert "3 months" in await answer(operator)
    add(folder, "2")
    assert (await change(operator, "load")).status_code == 200
    assert judged(await search(operator)) == ("judge@2", TEXTS)
    assert "24 months" in await answer(operator)
    shutil.rmtree(folder / "judge-1")
    assert (await change(operator, "load")).status_code == 200
    assert judged(await search(operator)) == ("judge@2", TEXTS)


async def test_what_searches_need_is_not_taken_away(operator: Person, folder: Path) -> None:
    refused = [await change(operator, "unload")]
    shutil.rmtree(folder / "judge-1")
    register(folder, "judge", affine())
    refused.append(await change(operator, "load"))
    for each in refused:
        assert (each.status_code, "APP_SEARCH__RERANKER" in each.json()["error"]) == (409, True)
    shutil.rmtree(folder / "judge-1")
    assert (await change(operator, "load")).status_code == 404
    assert judged(await search(operator)) == ("judge@1", TEXTS[::-1])


async def test_other_cross_encoders_come_and_go(operator: Person, folder: Path) -> None:
    add(folder, "1", name="jury")
    for verb in ("load", "unload"):
        assert (await change(operator, verb, "jury")).status_code == 200
        assert judged(await search(operator)) == ("judge@1", TEXTS[::-1])


async def test_every_search_is_judged_while_versions_come_and_go(operator: Person, folder: Path) -> None:
    over = asyncio.Event()
    seen: set[tuple[str, tuple[str, ...]]] = set()

    async def keep_searching() -> None:
        while not over.is_set():
            found = await search(operator)
            seen.add((found["reranker"], tuple(texts(found))))

    async with asyncio.TaskGroup() as searchers:
        for _ in range(SEARCHERS):
            searchers.create_task(keep_searching())
        for version in range(2, 2 + VERSIONS):
            shutil.rmtree(folder / f"judge-{version - 1}")
            add(folder, str(version), (-1) ** (version - 1))
            assert (await change(operator, "load")).status_code == 200
            assert (await search(operator))["reranker"] == f"judge@{version}"
        over.set()
    orders = (tuple(TEXTS), tuple(TEXTS[::-1]))
    assert seen <= {(f"judge@{version}", orders[version % 2]) for version in range(1, 2 + VERSIONS)}
    assert len(seen) > VERSIONS / 2


class TestOneVersion:
    """Searches that are configured for one exact version."""

    @pytest.fixture
    def search_settings(self) -> SearchSettings:
        return SearchSettings(reranker="judge@1", rerank_timeout=60)

    async def test_a_newer_version_is_served_but_judges_nothing(self, operator: Person, folder: Path) -> None:
        add(folder, "2")
        assert (await change(operator, "load")).status_code == 200
        body = {"query": "w1", "documents": ["w2"]}
        assert (await operator.request("POST", "/v1/rerank", json=body)).headers["X-Model"] == "judge@2"
        assert judged(await search(operator)) == ("judge@1", TEXTS[::-1])

    async def test_the_version_may_be_renewed_but_not_be_left_out(self, operator: Person, folder: Path) -> None:
        shutil.rmtree(folder / "judge-1")
        add(folder, "2")
        refused = await change(operator, "load")
        assert (refused.status_code, "judge@1" in refused.json()["error"]) == (409, True)
        assert judged(await search(operator)) == ("judge@1", TEXTS[::-1])
        add(folder, "1")
        assert (await change(operator, "load")).status_code == 200
        assert judged(await search(operator)) == ("judge@1", TEXTS)
