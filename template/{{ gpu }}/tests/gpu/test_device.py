"""Tests that need a GPU: run with `poe test-gpu`, skipped without one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest

from app.adapters.model_session import CUDA, NAMES, ModelSessionSettings, open_model_session
from app.bootstrap import Services
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.model_folders import ModelsSettings
from app.inference.ports import ModelSession, Tensor
from app.settings import Settings
from tests.gpu.devices import count_devices
from tests.http import Person, join
from tests.inference.tensor_graphs import affine, growing, register

MODELS = Path(__file__).parents[2] / "models"
EMBEDDING, DETECTION = MODELS / "embedding" / "model.onnx", MODELS / "detection" / "model.onnx"
LENGTH = 128
BATCHES = (1, 8, 32, 128)
REPEATS = 10
# For half precision in TensorRT; CUDA sums in a different order than the CPU and may round products to TF32.
TOLERANCE = 5e-3
LIMIT = 1_000_000_000


DEVICES = count_devices()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not DEVICES, reason="CUDA finds no device: onnxruntime runs on the CPU here"),
]


@asynccontextmanager
async def on(provider: Provider, model: Path, **changes: object) -> AsyncIterator[ModelSession]:
    settings = ModelSessionSettings.model_validate(changes)
    try:
        async with open_model_session(settings, model, providers=[provider]) as session:
            assert session.provider == NAMES[provider]
            yield session
    except StartupError as error:
        if provider != "tensorrt":
            raise
        pytest.skip(f"TensorRT cannot be used: {error.detail}")


def texts(rows: int) -> dict[str, Tensor]:
    random = np.random.default_rng(rows)
    mask = (np.arange(LENGTH) < random.integers(1, LENGTH, (rows, 1))).astype(np.int64)
    return {"input_ids": random.integers(1000, 30_000, (rows, LENGTH)) * mask, "attention_mask": mask}


def pictures(session: ModelSession, rows: int) -> dict[str, Tensor]:
    [spec] = session.inputs
    shape = [rows, *(each for each in spec.shape[1:] if isinstance(each, int))]
    return {spec.name: np.random.default_rng(rows).random(shape, np.float32)}


def assert_agree(one: list[Tensor], other: list[Tensor]) -> None:
    for expected, given in zip(one, other, strict=True):
        np.testing.assert_allclose(given, expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
async def test_vectors_and_boxes_are_those_of_the_cpu(provider: Provider, tmp_path: Path) -> None:
    for model in (EMBEDDING, DETECTION):
        async with on("cpu", model) as here, on(provider, model, engine_cache=tmp_path) as there:
            for rows in BATCHES[:2]:
                inputs = texts(rows) if model == EMBEDDING else pictures(here, rows)
                assert_agree(here.run(inputs), there.run(inputs))


async def test_recorded_work_gives_every_caller_the_answer_to_its_own_inputs(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(affine(rows=4), path)
    async with on("cuda", path, capture_graphs=True) as session:
        for number in range(20):
            x = np.full((4, 3), number, np.float32)
            np.testing.assert_array_equal(session.run({"x": x})[0], 2 * x + 1)


@pytest.mark.skipif(DEVICES < 2, reason="there is but one device")
async def test_every_device_gives_the_same() -> None:
    inputs = texts(8)
    async with on("cpu", EMBEDDING) as here, on("cuda", EMBEDDING, devices=list(range(DEVICES))) as there:
        expected = here.run(inputs)
        for answer in await asyncio.gather(*(asyncio.to_thread(there.run, inputs) for _ in range(3 * DEVICES))):
            assert_agree(expected, answer)


async def test_throughput_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Print a table of throughputs; there is no required speed."""
    rates: dict[str, list[float]] = {}
    providers: tuple[Provider, ...] = ("cpu", "cuda")
    for provider in providers:
        async with on(provider, EMBEDDING) as session:
            rates[provider] = [await asyncio.to_thread(rate, session, rows) for rows in BATCHES]
    with capsys.disabled():
        print(f"\ntexts of {LENGTH} tokens a second\n" + "".join(f"{name:>12}" for name in ("rows", *rates)))  # noqa: T201
        for rows, *each in zip(BATCHES, *rates.values(), strict=True):
            print("".join(f"{value:>12,.0f}" for value in (rows, *each)))  # noqa: T201 - the table is what is wanted
    assert all(min(each) > 0 for each in rates.values())


def rate(session: ModelSession, rows: int) -> float:
    inputs = texts(rows)
    session.run(inputs)
    started = time.monotonic()
    for _ in range(REPEATS):
        session.run(inputs)
    return REPEATS * rows / (time.monotonic() - started)


class TestOutOfMemory:
    """A service whose models may use a gigabyte of the device each."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        register(tmp_path / "models", "growing", growing())
        limited = settings.model_session.model_copy(update={"memory_limit": LIMIT})
        return settings.model_copy(
            update={"models": ModelsSettings(folder=tmp_path / "models"), "model_session": limited}
        )

    @pytest.fixture
    async def ada(self, client: httpx2.AsyncClient, services: Services) -> Person:
        return await join(client, services, "ada@example.com")

    async def test_what_does_not_fit_is_a_503_and_the_next_is_served(self, ada: Person) -> None:
        for _ in range(3):
            refused = await count(ada, LIMIT)
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["Retry-After"]) >= 1
            served = await count(ada, 1000)
            assert served.json()["outputs"][0]["data"] == [1000]
            assert served.headers["X-Model-Provider"] == CUDA
            assert (await ada.client.get("/health/ready")).status_code == 200


async def count(person: Person, number: int) -> httpx2.Response:
    given = {"name": "n", "datatype": "INT64", "shape": [1], "data": [number]}
    return await person.request("POST", "/v2/models/growing/infer", json={"inputs": [given]})
