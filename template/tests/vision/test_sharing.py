"""Tests of detection requests that share the model."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI

from app.auth.caller import Caller
from app.bootstrap import Services
from app.errors import OverloadedError, UnavailableError
from app.inference.capacity import BatchingSettings
from app.vision.service import DetectionLimits, DetectionService
from tests.http import Person, join
from tests.vision.drawings import base64, encode, shapes
from tests.vision.streaming import GatedSession, binary, gated, read, serving, streaming

ONE, MANY = "/v1/detections", "/v1/detections/batch"
PICTURE = encode(shapes().image)
HASTY = BatchingSettings(measure_seconds=0, lanes=1, deadline=2.0)


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def held_up(application: FastAPI, services: Services) -> AsyncIterator[GatedSession]:
    async with gated(application, services) as session:
        yield session


def detections(application: FastAPI) -> DetectionService:
    now: Services = application.state.services
    return now.detections


def somebody() -> Caller:
    return Caller(uuid4())


async def until_waiting(application: FastAPI, pictures: int) -> None:
    batcher = detections(application).detector.batcher
    while batcher.waiting != pictures:
        await asyncio.sleep(0.01)


async def ask(person: Person) -> httpx2.Response:
    return await person.request("POST", ONE, json={"image": base64(PICTURE)})


async def test_pictures_of_different_requests_run_together(
    application: FastAPI, held_up: GatedSession, ada: Person
) -> None:
    first = asyncio.create_task(ask(ada))
    await asyncio.to_thread(held_up.entered.wait, 60)
    rest = [asyncio.create_task(ask(ada)) for _ in range(3)]
    rest.append(asyncio.create_task(ada.request("POST", MANY, json={"images": [base64(PICTURE)] * 4})))
    await until_waiting(application, 7)
    held_up.gate.set()
    answers = await asyncio.gather(first, *rest)
    assert {answer.status_code for answer in answers} == {200}
    assert held_up.batches == [1, 7]


async def test_a_small_request_does_not_wait_for_the_whole_flood_of_another(
    application: FastAPI, held_up: GatedSession
) -> None:
    service = detections(application)
    flood = asyncio.create_task(service.detect_many([PICTURE] * 32, DetectionLimits(), caller=somebody()))
    await asyncio.to_thread(held_up.entered.wait, 60)
    modest = asyncio.create_task(service.detect(PICTURE, DetectionLimits(), caller=somebody()))
    await until_waiting(application, 25)
    held_up.let(2)
    await modest
    assert not flood.done()
    held_up.gate.set()
    assert len((await flood).results) == 32


async def test_what_is_not_begun_by_its_deadline_is_503_with_the_time_to_come_back(
    application: FastAPI, services: Services, ada: Person
) -> None:
    async with gated(application, services, HASTY) as session:
        first = asyncio.create_task(ask(ada))
        await asyncio.to_thread(session.entered.wait, 60)
        late = await ask(ada)
        assert (late.status_code, late.json()["code"]) == (503, "overloaded")
        assert int(late.headers["Retry-After"]) >= 1
        session.gate.set()
        assert (await first).status_code == 200
        assert (await ask(ada)).status_code == 200
    assert session.batches == [1, 1], "what was late never ran"


async def test_a_picture_that_nobody_waits_for_any_more_never_runs(
    application: FastAPI, held_up: GatedSession, ada: Person
) -> None:
    service = detections(application)
    first = asyncio.create_task(ask(ada))
    await asyncio.to_thread(held_up.entered.wait, 60)
    leaving = asyncio.create_task(service.detect_many([PICTURE] * 3, DetectionLimits(), caller=somebody()))
    await until_waiting(application, 3)
    leaving.cancel()
    await asyncio.wait([leaving])
    held_up.gate.set()
    assert (await first).status_code == 200
    assert (await ask(ada)).status_code == 200
    assert held_up.batches == [1, 1]


async def test_a_client_that_closes_its_connection_frees_its_place(
    application: FastAPI, held_up: GatedSession, ada: Person
) -> None:
    async with serving(application) as url:
        address = url.replace("ws://", "http://").removesuffix("/stream")
        first = asyncio.create_task(ask(ada))
        await asyncio.to_thread(held_up.entered.wait, 60)
        async with httpx2.AsyncClient(headers=ada.headers) as client:
            leaving = asyncio.create_task(client.post(address, json={"image": base64(PICTURE)}))
            await until_waiting(application, 1)
            leaving.cancel()
            await asyncio.wait([leaving])
        while detections(application).detector.batcher.waiting:
            await asyncio.sleep(0.01)
        held_up.gate.set()
        assert (await first).status_code == 200
    assert held_up.batches == [1]


async def test_a_frame_that_is_late_is_an_error_of_its_own_and_the_stream_goes_on(
    application: FastAPI, services: Services, ada: Person
) -> None:
    key = ada.headers["Authorization"].removeprefix("Bearer ")
    async with (
        gated(application, services, HASTY) as session,
        serving(application) as url,
        streaming(url, key) as socket,
    ):
        busy = asyncio.create_task(ask(ada))
        await asyncio.to_thread(session.entered.wait, 60)
        await socket.send(binary(1, PICTURE))
        late = await read(socket)
        assert (late["type"], late["frame_id"], late["error"]["code"]) == ("error", 1, "overloaded")
        session.gate.set()
        assert (await busy).status_code == 200
        await socket.send(binary(2, PICTURE))
        assert (await read(socket))["type"] == "result"


async def test_at_shutdown_what_was_taken_is_answered_and_new_pictures_are_refused(
    application: FastAPI, services: Services
) -> None:
    async with gated(application, services) as session:
        service = detections(application)
        taken = asyncio.create_task(service.detect_many([PICTURE] * 32, DetectionLimits(), caller=somebody()))
        await asyncio.to_thread(session.entered.wait, 60)
        closing = asyncio.create_task(service.detector.batcher.close(60))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await service.detect(PICTURE, DetectionLimits(), caller=somebody())
        with pytest.raises(UnavailableError):
            await service.detector.ping()
        session.gate.set()
        assert len((await taken).results) == 32
        await closing


async def test_pictures_that_cannot_be_looked_at_in_time_are_refused_before_they_are_decoded(
    application: FastAPI, services: Services
) -> None:
    async with gated(application, services, HASTY.model_copy(update={"deadline": 0.01})) as session:
        service = detections(application)
        occupier = asyncio.create_task(service.detector.detect([np.zeros((8, 8, 3), np.uint8)]))
        await asyncio.to_thread(session.entered.wait, 60)
        with pytest.raises(OverloadedError) as refused:
            await service.detect(b"no picture", DetectionLimits(), caller=somebody())
        assert (refused.value.retry_after or 0) >= 1
        session.gate.set()
        await occupier
