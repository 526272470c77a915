"""Tests of replacing and unloading a cross-encoder under load, on a real process over real connections."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.auth.caller import Scope
from app.auth.service import AuthService
from app.database import Database
from app.settings import Settings
from tests.inference.instances import Instance
from tests.reranking.graphs import cross_encoder, expected_logit, register_cross_encoder

CALLERS = 24
VERSIONS = 6
QUERY = "w1 w2 w3"
# Long texts that the model truncates: a request spends most of its time before the model's queue.
DOCUMENTS = [f"w{number} w{number + 7} " * 200 for number in range(40)]
LOGITS = [expected_logit(QUERY, document, 16) for document in DOCUMENTS]
LOAD, UNLOAD = (f"/v2/repository/models/judge/{verb}" for verb in ("load", "unload"))


def add(folder: Path, version: int) -> None:
    """Register a version whose scores are this many times those of the first."""
    graph = cross_encoder(scale=float(version))
    register_cross_encoder(folder, graph, version=str(version), activation="none")


@pytest.fixture
async def client(
    settings: Settings, folder: Path, database: Database, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client with the operator's key for a service that has the first version."""
    shutil.rmtree(folder / "judge-1")
    add(folder, 1)
    auth = AuthService(database, settings.auth)
    account = await auth.ensure_account("operator@example.com")
    key = await auth.give_key("all", list(Scope), account_id=account.id)
    instance = Instance({"APP_MODELS__FOLDER": str(folder)}, tmp_path / "instance.log")
    instance.start()
    try:
        await instance.ready()
        headers = {"Authorization": f"Bearer {key.secret}"}
        async with httpx2.AsyncClient(base_url=instance.url, headers=headers, timeout=60) as opened:
            yield opened
    finally:
        instance.kill()


def version_of(response: httpx2.Response) -> str:
    """Return the version that answered, after checking that the scores are that version's."""
    body: dict[str, Any] = response.json()
    version: str = response.headers["X-Model"].removeprefix("judge@")
    scores = {each["index"]: each["relevance_score"] for each in body["results"]}
    assert [scores[at] for at in range(len(DOCUMENTS))] == pytest.approx(
        [int(version) * logit for logit in LOGITS], abs=1e-4
    )
    return version


async def test_no_request_fails_while_versions_take_over_and_none_is_cut_off_by_an_unload(
    client: httpx2.AsyncClient, folder: Path
) -> None:
    over = asyncio.Event()
    seen: dict[str, int] = {}
    failed: list[httpx2.Response] = []

    async def call() -> None:
        while not over.is_set():
            response = await client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
            if response.status_code == 200:
                version = version_of(response)
                seen[version] = seen.get(version, 0) + 1
            else:
                failed.append(response)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(call())
        for version in range(2, VERSIONS + 1):
            shutil.rmtree(folder / f"judge-{version - 1}")
            add(folder, version)
            assert (await client.post(LOAD)).status_code == 200
            response = await client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
            assert version_of(response) == str(version)
        assert [(each.status_code, each.text) for each in failed] == []
        assert set(seen) <= {str(version) for version in range(1, VERSIONS + 1)}
        assert len(seen) > VERSIONS / 2
        assert (await client.post(UNLOAD)).status_code == 200
        assert (await client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})).status_code == 404
        over.set()
    assert {each.status_code for each in failed} <= {404}
