"""Tests of models on other servers, which implement the same port as local models."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from app.adapters.onnx_session import load_session
from app.adapters.remote_inference import RemoteInferenceSettings
from app.bootstrap import open_ports
from app.errors import StartupError
from app.inference.encoder import encode
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.settings import Settings
from tests.adapters.fake_model_server import FakeModelServer, serve_fake_model
from tests.adapters.remote_models import X, opened, run
from tests.inference.tensor_graphs import affine


@pytest.fixture
def servers() -> Iterator[list[FakeModelServer]]:
    """Run two servers with the same model."""
    with ExitStack() as stack:
        yield [stack.enter_context(serve_fake_model()) for _ in range(2)]


@pytest.fixture(params=["here", "elsewhere"])
async def session(
    request: pytest.FixtureRequest, tmp_path: Path, servers: list[FakeModelServer]
) -> AsyncIterator[ModelSession]:
    """Open the same model, locally or on another server."""
    if request.param == "here":
        onnx.save(affine(), tmp_path / "model.onnx")
        yield await load_session(tmp_path / "model.onnx", providers=["CPUExecutionProvider"], threads=1)
        return
    async with opened(servers[0].url) as (_, session):
        yield session


async def test_a_session_describes_itself_and_runs(session: ModelSession) -> None:
    for specs, name in ((session.inputs, "x"), (session.outputs, "y")):
        [spec] = specs
        assert (spec.name, spec.datatype, len(spec.shape), spec.shape[1]) == (name, "FP32", 2, 3)
        assert not isinstance(spec.shape[0], int)
    assert session.output_names == ["y"]
    for rows in (1, 2, 7):
        x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
        [y] = await run(session, x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, 2 * x + 1)
        y += 1  # the caller may change the arrays that it receives


async def test_a_session_refuses_inputs_of_another_name_or_type(session: ModelSession) -> None:
    for inputs in ({"z": X}, {"x": X.astype(np.int64)}):
        with pytest.raises(Exception, match=r"x|z"):
            await asyncio.to_thread(session.run, inputs)
    assert len(await run(session)) == 1


async def test_the_server_that_answered_is_the_provider_and_gets_the_key(servers: list[FakeModelServer]) -> None:
    async with opened(servers[0].url + "/", servers[1].url, api_key="sk-1") as (_, session):
        await run(session)
        assert session.provider == f"remote:{servers[0].host}"
        servers[0].mood = "status-503"
        await run(session)
        assert session.provider == f"remote:{servers[1].host}"
    assert servers[0].calls[1] == "POST /v2/models/affine/versions/1/infer"
    assert {*servers[0].keys, *servers[1].keys} == {"Bearer sk-1"}


@pytest.mark.parametrize(
    ("there", "path"), [("other@7", "other/versions/7"), ("other@", "other"), ("other", "other/versions/1")]
)
async def test_a_model_may_have_another_name_there(servers: list[FakeModelServer], there: str, path: str) -> None:
    async with opened(servers[0].url, models={"affine": there}):
        assert servers[0].calls == [f"GET /v2/models/{path}"]


class NanEncoder:
    """An encoder whose vectors are all NaN."""

    provider = "none"
    output_names: ClassVar[list[str]] = []
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def run(self, inputs: object) -> list[Tensor]:
        return [np.full((2, 4), np.nan, np.float32)]


async def test_a_model_may_answer_nan_but_an_encoder_may_not(servers: list[FakeModelServer]) -> None:
    async with opened(servers[0].url) as (_, session):
        servers[0].mood = "nan"
        [y] = await run(session)
        assert np.isnan(y).all()

    with pytest.raises(ValueError, match="NaN"):
        encode(NanEncoder(), [[1], [2]])


async def test_servers_of_different_models_end_the_start(servers: list[FakeModelServer]) -> None:
    servers[1].metadata["outputs"] = [{"name": "y", "datatype": "FP16", "shape": [-1, 3]}]
    with pytest.raises(StartupError, match="inputs or outputs differ"):
        async with opened(*(each.url for each in servers)):
            pass


@pytest.mark.parametrize(
    ("mood", "reason"),
    [("status-503", "cannot be reached"), ("status-404", "check the model's name"), ("status-401", "the key")],
)
async def test_a_model_that_is_not_there_ends_the_start(servers: list[FakeModelServer], mood: str, reason: str) -> None:
    servers[0].mood = mood
    with pytest.raises(StartupError, match=reason):
        async with opened(servers[0].url):
            pass


async def test_the_start_needs_one_server_of_several(servers: list[FakeModelServer]) -> None:
    servers[0].mood = "status-503"
    async with opened(*(each.url for each in servers)) as (_, session):
        await run(session)
        assert session.provider == f"remote:{servers[1].host}"


async def test_a_refused_connection_is_an_error_like_any_other(servers: list[FakeModelServer]) -> None:
    with serve_fake_model() as gone:
        nobody = gone.url
    with pytest.raises(StartupError, match="cannot be reached"):
        async with opened(nobody):
            pass
    async with opened(nobody, servers[0].url) as (_, session):
        await run(session)


async def test_threads_share_a_session(servers: list[FakeModelServer]) -> None:
    async with opened(*(each.url for each in servers)) as (_, session):
        inputs = [np.full((1, 3), number, np.float32) for number in range(32)]
        outputs = await asyncio.gather(*(run(session, x) for x in inputs))
    for x, [y] in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(y, 2 * x + 1)


def test_models_that_run_elsewhere_need_a_server() -> None:
    with pytest.raises(ValidationError, match="urls"):
        RemoteInferenceSettings(models={"affine": "affine"})


async def test_a_name_that_no_model_here_has_ends_the_start(settings: Settings, servers: list[FakeModelServer]) -> None:
    remote = {"urls": [servers[0].url], "models": {"static-minlm": "static-minilm"}}
    misspelt = settings.model_copy(update={"remote_inference": RemoteInferenceSettings.model_validate(remote)})
    with pytest.raises(StartupError, match=r"names static-minlm; .* static-minilm"):
        async with open_ports(misspelt, serving=True):
            pass
