"""Tests of the stream over real sockets."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed

from app.auth.caller import Scope
from app.auth.service import AuthService
from app.bootstrap import Services
from app.database import DatabaseSettings, open_database
from app.settings import Settings
from tests.http import join
from tests.vision.drawings import base64, encode, noise, shapes
from tests.vision.streaming import PATH, binary, browsing, end_of, gated, read, serving, streaming

ROOT = Path(__file__).parents[2]
PROTOCOL = "detections.v1"
FRAME = binary(1, encode(shapes().image))


@pytest.fixture
async def url(application: FastAPI) -> AsyncIterator[str]:
    async with serving(application) as address:
        yield address


@pytest.fixture
async def key(client: httpx2.AsyncClient, services: Services) -> str:
    return await key_of(client, services, Scope.DETECTIONS)


async def key_of(client: httpx2.AsyncClient, services: Services, *scopes: Scope) -> str:
    person = await join(client, services, "ada@example.com", *scopes)
    return person.headers["Authorization"].removeprefix("Bearer ")


async def test_frames_are_answered_with_their_ids(url: str, key: str) -> None:
    picture = encode(shapes().image, "JPEG", quality=90)
    async with streaming(url, key) as socket:
        for frame_id in (7, 2**64 - 1, "left/8"):
            as_text = json.dumps({"frame_id": frame_id, "image": base64(picture)})
            await socket.send(as_text if isinstance(frame_id, str) else binary(frame_id, picture))
            answer = await read(socket)
            assert (answer["type"], answer["frame_id"], answer["dropped"]) == ("result", frame_id, 0)
            assert {each["label"] for each in answer["detections"]} >= set(shapes().shapes)
            assert set(answer) >= {"inference_time_ms", "model_version"}


async def test_a_browser_signs_in_by_subprotocol(url: str, key: str) -> None:
    async with browsing(url + "?max_detections=1", PROTOCOL, f"bearer.{key}") as socket:
        assert socket.subprotocol == PROTOCOL
        assert (await read(socket))["type"] == "ready"
        await socket.send(FRAME)
        assert len((await read(socket))["detections"]) == 1


async def test_without_valid_credentials_the_stream_is_closed_with_the_reason(
    url: str, client: httpx2.AsyncClient, services: Services
) -> None:
    blind = await key_of(client, services, Scope.SEARCH)
    for protocols, reason in [
        ([], "Bearer"),
        ([PROTOCOL, "bearer.sk-wrong"], "not valid"),
        ([PROTOCOL, "bearer.abc.def.ghi"], "not valid"),
        ([PROTOCOL, f"bearer.{blind}"], "lack the scope detections"),
    ]:
        async with browsing(url, *protocols) as socket:
            code, said = await end_of(socket)
        assert code == 1008
        assert reason in said


async def test_a_stream_that_opens_while_the_database_is_away_is_closed_with_1013(
    application: FastAPI, services: Services, settings: Settings, url: str
) -> None:
    nowhere = DatabaseSettings(url=SecretStr("postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))
    async with open_database(nowhere) as away:
        application.state.services = replace(services, auth=AuthService(away, settings.auth))
        async with browsing(url, PROTOCOL, "bearer.sk-any") as socket:
            assert await end_of(socket) == (1013, "The database is not available at the moment.")


@pytest.mark.parametrize("query", ["threshold=2", "max_detections=0", "treshold=0.5"])
async def test_wrong_options_close_the_stream_with_their_name(url: str, key: str, query: str) -> None:
    async with browsing(f"{url}?{query}", PROTOCOL, f"bearer.{key}") as socket:
        code, reason = await end_of(socket)
    assert code == 1008
    assert query.partition("=")[0] in reason


@pytest.mark.parametrize("message", ["hello", '{"frame_id": 1}', b"short"])
async def test_what_is_no_frame_closes_with_1003(url: str, key: str, message: str | bytes) -> None:
    async with streaming(url, key) as socket:
        await socket.send(message)
        code, reason = await end_of(socket)
    assert code == 1003
    assert "frame is" in reason


@pytest.mark.parametrize("size", [11_000_000, 20_000_000])
async def test_a_frame_that_is_too_big_closes_with_1009(url: str, key: str, size: int) -> None:
    async with streaming(url, key, compression=None) as socket:
        with suppress(ConnectionClosed):
            await socket.send(binary(1, b"x" * size))
        assert (await end_of(socket))[0] == 1009
    async with streaming(url, key) as socket:
        await socket.send(FRAME)
        assert (await read(socket))["type"] == "result"


async def test_a_bad_picture_is_an_error_of_its_frame_and_the_stream_goes_on(url: str, key: str) -> None:
    async with streaming(url, key) as socket:
        for content, status in [(b"GIF89a", 415), (encode(noise(50))[:500], 422)]:
            await socket.send(binary(5, content))
            answer = await read(socket)
            assert (answer["type"], answer["frame_id"], answer["error"]["status"]) == ("error", 5, status)
        await socket.send(FRAME)
        assert (await read(socket))["type"] == "result"


async def test_frames_that_come_too_fast_close_with_1008(application: FastAPI, services: Services, key: str) -> None:
    async with (
        gated(application, services, stream_frames_per_second=5) as session,
        serving(application) as url,
        streaming(url, key) as socket,
    ):
        session.gate.set()
        with suppress(ConnectionClosed):
            for _ in range(2000):
                await socket.send(binary(1, b"x"))
        code, reason = await end_of(socket)
    assert code == 1008
    assert "5 frames per second" in reason


async def test_under_pressure_the_latest_frame_wins_and_every_other_is_counted(
    application: FastAPI, services: Services, key: str
) -> None:
    async with (
        gated(application, services) as session,
        serving(application) as url,
        streaming(url, key) as socket,
    ):
        await socket.send(FRAME)
        await asyncio.to_thread(session.entered.wait, 60)
        for number in range(2, 31):
            await socket.send(binary(number, FRAME[8:]))
        await (await socket.ping())
        session.gate.set()
        answers = [await read(socket)]
        while answers[-1]["frame_id"] != 30:
            answers.append(await read(socket))
    ids = [answer["frame_id"] for answer in answers]
    assert ids[0] == 1
    assert ids == sorted(set(ids))
    # Each frame was either answered or counted as dropped; most were dropped because the model was held up.
    assert answers[-1]["dropped"] + len(answers) == 30
    assert answers[-1]["dropped"] > 20


async def test_answers_keep_the_order_of_their_frames(application: FastAPI, services: Services, key: str) -> None:
    async with gated(application, services) as session, serving(application) as url, streaming(url, key) as socket:
        await socket.send(FRAME)
        await asyncio.to_thread(session.entered.wait, 60)
        await socket.send(binary(2, b"GIF89a"))  # rejected at once, as it is no picture
        await (await socket.ping())
        session.gate.set()
        answers = [await read(socket), await read(socket)]
    assert [(answer["frame_id"], answer["type"]) for answer in answers] == [(1, "result"), (2, "error")]


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    application: FastAPI, services: Services, key: str
) -> None:
    async with gated(application, services) as session, serving(application) as url:
        async with streaming(url, key) as socket:
            await socket.send(FRAME)
            await asyncio.to_thread(session.entered.wait, 60)
        session.gate.set()
        async with streaming(url, key) as socket:
            await socket.send(FRAME)
            assert (await read(socket))["type"] == "result"
    assert not application.state.shutdown.has_connections


async def test_a_service_that_stops_says_so_with_1001(key: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", "0"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a server that the test signals
            command, cwd=ROOT, env=dict(os.environ), stdout=output, stderr=output
        )
    try:
        url = await address_in(log, process)
        async with streaming(url, key) as busy, streaming(url, key) as idle:
            await busy.send(FRAME)
            process.send_signal(signal.SIGTERM)
            for socket in (busy, idle):
                code, reason = await end_of(socket)
                assert code == 1001
                assert "stopping" in reason
        assert await asyncio.to_thread(process.wait, 60) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()


async def address_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", await asyncio.to_thread(log.read_text))):
        assert process.poll() is None, "the server ended before it was ready"
        await asyncio.sleep(0.1)
    return f"ws://127.0.0.1:{found[1]}{PATH}"
