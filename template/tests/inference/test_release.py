"""Tests that refused requests and unloaded models are freed at once, not at the next full garbage collection."""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from starlette.types import Message

from app.adapters.model_session import open_model_session
from app.classification.classifier import Classifiers
from app.connection import while_connected
from app.errors import AppError, OutOfMemoryError, UnavailableError, UnprocessableError
from app.inference.batching import Batcher
from app.inference.capacity import BatchingSettings
from app.inference.model_opening import find_registered_tensors
from app.inference.model_repository import ModelRepository, open_model_repository
from app.inference.placement import Placement
from app.reranking.registered import Rerankers
from app.settings import Settings
from tests.classification.graphs import register_classifier, summing_classifier
from tests.inference.gated_model import GatedModel, batcher_of, occupied
from tests.inference.tensor_graphs import affine, register
from tests.reranking.graphs import cross_encoder, register_cross_encoder


class Payload(float):
    """A number that can be weakly referenced."""

    __slots__ = ("__weakref__",)


@pytest.fixture(autouse=True)
def _no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def never_disconnect() -> Message:
    """Receive as a client that never disconnects."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def error_of(batcher: Batcher, payload: Payload, within: float | None = None) -> type[AppError] | None:
    """Submit a payload as a request does, and return the type of the error, if any."""
    try:
        work = batcher.submit([payload], [1], within=within)
        await while_connected(Request({"type": "http"}, never_disconnect), work)
    except AppError as error:
        return type(error)
    return None


async def wait_until_freed(*held: "weakref.ref[Any]") -> bool:
    """Wait until these objects are freed."""
    async with asyncio.timeout(30):
        while any(each() is not None for each in held):
            await asyncio.sleep(0.001)
    return True


async def test_what_a_caller_sent_is_gone_when_it_is_refused() -> None:
    async def refuse(payload: Payload) -> None:
        raise UnprocessableError(f"{payload} is wrong.")

    payload = Payload(1)
    held = weakref.ref(payload)
    try:
        await while_connected(Request({"type": "http"}, never_disconnect), refuse(payload))
    except UnprocessableError:
        del payload
    assert await wait_until_freed(held)


async def test_what_there_is_no_time_for_is_gone_when_it_is_refused_or_has_expired() -> None:
    model, payloads = GatedModel(), [Payload(1), Payload(2)]
    held = [weakref.ref(each) for each in payloads]
    async with batcher_of(model, rows=1, units=1, seconds=0.01) as batcher:
        first = await occupied(batcher, model)
        assert await error_of(batcher, payloads.pop(), within=0.001) is not None
        assert await error_of(batcher, payloads.pop(), within=0.2) is not None
        assert await wait_until_freed(*held)
        model.allow()
        await first


def fail(_: Sequence[Any]) -> None:
    raise ValueError("a value is out of its range")


def run_out(payloads: Sequence[Any]) -> None:
    try:
        fail(payloads)
    except ValueError as error:
        raise OutOfMemoryError("Too much.", retry_after=1) from error


def be_away(_: Sequence[Any]) -> None:
    raise UnavailableError("Nobody answers.")


@pytest.mark.parametrize("mischief", [fail, run_out, be_away, id])
async def test_what_a_lane_has_run_is_gone_whatever_came_of_it(mischief: Callable[[Sequence[Any]], object]) -> None:
    model = GatedModel(mischief)
    model.allow()
    async with batcher_of(model) as batcher:
        payloads = [Payload(number) for number in range(3)]
        held = [weakref.ref(each) for each in payloads]
        await asyncio.gather(*(error_of(batcher, payloads.pop()) for _ in range(3)))
        model.batches.clear()
        assert await wait_until_freed(*held)


@pytest.mark.parametrize("name", ["affine", "judge", "moods"])
async def test_a_model_is_gone_when_another_has_taken_its_place_or_none(
    tmp_path: Path, settings: Settings, name: str
) -> None:
    register(tmp_path, "affine", affine())
    register_cross_encoder(tmp_path, cross_encoder())
    register_classifier(tmp_path, summing_classifier())
    async with opened(tmp_path, settings) as repository:
        for max_batch, change in ((3, repository.load), (4, repository.load), (4, repository.unload)):
            before = [weakref.ref(each.session) for each in repository.registered()]
            manifest = tmp_path / f"{name}-1" / "model.json"
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"max_batch": max_batch}))
            await change(name)
            assert await wait_until_freed(*before)


def opened(folder: Path, settings: Settings) -> AbstractAsyncContextManager[ModelRepository]:
    """Open the repository of a folder, without loading any model."""
    batching = BatchingSettings(measure_seconds=0, lanes=1, shutdown_grace=5)

    def place(_name: str, _version: str, graph: Path, providers: Sequence[Any]) -> Placement:
        return Placement(partial(open_model_session, settings.model_session, graph, providers=providers), batching)

    finders = [
        partial(Rerankers().find_registered, place),
        partial(find_registered_tensors, place, Classifiers().attach),
    ]
    return open_model_repository(folder, [], [], batching, finders=finders)
