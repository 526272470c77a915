"""Tests of faults in and around models: they affect only the requests they happen to, and the service recovers."""

import asyncio
import shutil
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.bootstrap import Services, open_ports
from app.errors import StartupError
from app.settings import Settings
from tests.http import Person, join
from tests.inference.faulty_session import serve_faulty_models
from tests.vision.drawings import base64, encode, shapes

ROOT = Path(__file__).parents[2]
EMBEDDING: tuple[str, dict[str, Any]] = ("/v1/embeddings", {"model": "static-minilm", "input": "How long?"})
DETECTION: tuple[str, dict[str, Any]] = ("/v1/detections", {"image": base64(encode(shapes().image))})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def ask(person: Person, what: tuple[str, dict[str, Any]]) -> httpx2.Response:
    return await person.request("POST", what[0], json=what[1])


def body_of(response: httpx2.Response) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a response's body without its timings."""
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if name != "inference_time_ms"}


def code_of(response: httpx2.Response) -> object:
    body = response.json()
    return body.get("error", body)["code"]


async def is_ready(person: Person) -> bool:
    return (await person.client.get("/health/ready")).status_code == 200


def spoil(folder: Path, content: bytes) -> None:
    for file in [*folder.glob("*/model.onnx"), *folder.glob("*/tokenizer.json")]:
        file.write_bytes(content)


@pytest.mark.parametrize("what", [EMBEDDING, DETECTION], ids=["embeddings", "detections"])
@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION"),
        MemoryError(),
        SystemExit(139),
    ],
    ids=["native", "memory", "thread"],
)
async def test_a_fault_in_a_lane_fails_its_request_and_none_after_it(
    application: FastAPI,
    settings: Settings,
    ada: Person,
    what: tuple[str, dict[str, Any]],
    fault: BaseException,
) -> None:
    def strike() -> None:
        raise fault

    async with serve_faulty_models(application, settings) as mischief:
        before = body_of(await ask(ada, what))
        for _ in range(3):
            mischief.strike = strike
            failed = await ask(ada, what)
            assert (failed.status_code, code_of(failed)) == (502, "request_refused")
            assert await is_ready(ada)
            mischief.strike = object
            assert body_of(await ask(ada, what)) == before


@pytest.mark.parametrize("what", [EMBEDDING, DETECTION], ids=["embeddings", "detections"])
async def test_in_a_storm_of_deadlines_the_service_stays_ready_and_recovers(
    application: FastAPI, settings: Settings, ada: Person, what: tuple[str, dict[str, Any]]
) -> None:
    batching = settings.batching.model_copy(update={"deadline": 2.0, "lanes": 1})
    hurried = settings.model_copy(update={"batching": batching})
    begun, calm = Event(), Event()

    def strike() -> None:
        begun.set()
        calm.wait(60)

    async with serve_faulty_models(application, hurried) as mischief:
        before = body_of(await ask(ada, what))
        mischief.strike = strike
        storm = [asyncio.create_task(ask(ada, what))]
        await asyncio.to_thread(begun.wait, 60)
        storm += [asyncio.create_task(ask(ada, what)) for _ in range(39)]
        await asyncio.wait(storm, return_when=asyncio.FIRST_COMPLETED)
        assert await is_ready(ada)
        calm.set()
        answers = await asyncio.gather(*storm)
        for answer in answers:
            if answer.status_code == 503:
                assert code_of(answer) == "overloaded"
                assert int(answer.headers["Retry-After"]) >= 1
            else:
                assert body_of(answer) == before
        assert {answer.status_code for answer in answers} == {200, 503}
        assert body_of(await ask(ada, what)) == before
        assert await is_ready(ada)


class TestSwappedFiles:
    """A service whose model files are overwritten while it runs."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        for name in ("embedding", "detection"):
            shutil.copytree(ROOT / "models" / name, tmp_path / name)
        return settings.model_copy(
            update={
                "embedding": settings.embedding.model_copy(update={"folder": tmp_path / "embedding"}),
                "detection": settings.detection.model_copy(update={"folder": tmp_path / "detection"}),
            }
        )

    @pytest.mark.parametrize("content", [b"", b"something else"])
    async def test_answers_are_those_of_the_model_that_was_opened_and_the_next_start_is_refused(
        self, settings: Settings, ada: Person, tmp_path: Path, content: bytes
    ) -> None:
        before = [body_of(await ask(ada, what)) for what in (EMBEDDING, DETECTION)]
        spoil(tmp_path, content)
        assert [body_of(await ask(ada, what)) for what in (EMBEDDING, DETECTION)] == before
        assert await is_ready(ada)
        with pytest.raises(StartupError, match="sha256"):
            async with open_ports(settings):
                pass
