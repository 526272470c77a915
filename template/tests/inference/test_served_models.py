"""Tests of registered models: how they are found, probed, shared and rejected."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.onnx_session import load_session
from app.errors import ModelNotFoundError, StartupError, UnprocessableError
from app.inference.capacity import BatchingSettings
from app.inference.model_opening import attach_nothing, find_registered_tensors
from app.inference.model_repository import open_model_repository
from app.inference.placement import Placement
from app.inference.ports import ModelSession
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel
from tests.inference.tensor_graphs import affine, centred, echo, likeness, listwise, lookup, masked_sum, register

UNMEASURED = BatchingSettings(measure_seconds=0)


def here(_name: str, _version: str, graph: Path, _providers: object) -> Placement:
    @asynccontextmanager
    async def open_session(threads: int) -> AsyncIterator[ModelSession]:
        yield await load_session(graph, providers=["CPUExecutionProvider"], threads=threads)

    return Placement(open_session, UNMEASURED, cores=1)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[ServedModels]:
    registered = find_registered_tensors(here, attach_nothing, folder)
    async with open_model_repository(folder, registered, [], UNMEASURED) as repository:
        yield repository.served


async def refusal(folder: Path) -> str:
    with pytest.raises(StartupError) as caught:
        async with opened(folder):
            pass
    return caught.value.detail


async def test_rows_run_together_where_trying_shows_that_they_may(tmp_path: Path) -> None:
    graphs = {"affine": affine(), "unnamed": affine(rows=None), "masked": masked_sum(), "echo": echo()}
    apart = {"fixed": affine(rows=2), "centred": centred(), "listwise": listwise(), "likeness": likeness()}
    for name, graph in (graphs | apart).items():
        register(tmp_path, name, graph)
    register(tmp_path, "alone", affine(), max_batch=1)
    async with opened(tmp_path) as models:
        by_rows = {name: models.find(name).signature.by_rows for name in (*graphs, *apart, "alone")}
    assert by_rows == dict.fromkeys(graphs, True) | dict.fromkeys((*apart, "alone"), False)


async def test_a_model_whose_rows_depend_on_each_other_gets_each_request_whole(tmp_path: Path) -> None:
    register(tmp_path, "centred", centred())
    async with opened(tmp_path) as models:
        model = models.find("centred")
        requests = [np.array([[1, 2, 3], [3, 4, 5]], np.float32) * (1 + number) for number in range(8)]
        done = await asyncio.gather(*(model.infer({"x": each}, owner=at) for at, each in enumerate(requests)))
    for given_, got in zip(requests, done, strict=True):
        np.testing.assert_allclose(got.outputs[0], given_ - given_.mean(axis=0))


async def test_the_newest_version_answers_unless_one_is_named(tmp_path: Path) -> None:
    for version, slope in (("9", 9.0), ("10", 10.0), ("1.5", 1.5)):
        register(tmp_path, "affine", affine(slope), version)
    async with opened(tmp_path) as models:
        assert models.versions("affine") == ["1.5", "9", "10"]
        assert models.find("affine").version == "10"
        one = np.ones((1, 3), np.float32)
        done = await models.find("affine", "9").infer({"x": one}, owner=None)
        np.testing.assert_allclose(done.outputs[0], one * 10)
        with pytest.raises(ModelNotFoundError, match=r"1\.5, 9, 10"):
            models.find("affine", "2")
        with pytest.raises(ModelNotFoundError, match="affine"):
            models.find("other")


async def test_one_callers_bad_values_fail_that_caller_alone(tmp_path: Path) -> None:
    register(tmp_path, "lookup", lookup())
    async with opened(tmp_path) as models:
        model = models.find("lookup")
        calls = [model.infer({"index": np.array([[index]])}, owner=index) for index in (0, 99, 1, -7, 2)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, UnprocessableError) for each in done] == [False, True, False, True, False]
        again = await model.infer({"index": np.array([[3, 3]])}, owner=99)
        assert again.outputs[0].tolist() == [[40, 40]]


@pytest.mark.parametrize("symbol", ["rows", "batch_size", "N"])
async def test_a_graph_may_call_its_dimensions_as_it_likes(tmp_path: Path, symbol: str) -> None:
    register(tmp_path, "lookup", lookup(symbol))
    async with opened(tmp_path) as models:
        done = await models.find("lookup").infer({"index": np.array([[0, 1, 2], [3, 2, 1]])}, owner=None)
    assert done.outputs[0].tolist() == [[10, 20, 30], [40, 30, 20]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"files": {"model.onnx": "0" * 64}}, "sha256"),
        ({"files": {}}, "sha256"),
        ({"task": "tensor"}, "task"),
        ({"max_batch": 0}, "max_batch"),
        ({"max_shape": {"x": [0]}}, "max_shape"),
        ({"surprise": 1}, "surprise"),
        ({"max_shape": {"z": [1]}}, "names z; the inputs are x"),
        ({"warm_up": {"x": [1, 4]}}, "warm_up"),
        ({"files": {"../model.onnx": "0" * 64}}, "beside its manifest"),
    ],
)
async def test_what_is_wrong_with_a_manifest_ends_the_start_with_a_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    register(tmp_path, "affine", affine(), **changes)
    assert reason in await refusal(tmp_path)


async def test_other_broken_registrations_end_the_start_with_a_reason(tmp_path: Path) -> None:
    assert "APP_MODELS__FOLDER" in await refusal(tmp_path / "nowhere")
    first = register(tmp_path / "missing", "affine", affine())
    (first / "model.onnx").unlink()
    assert "missing" in await refusal(tmp_path / "missing")
    first = register(tmp_path / "unreadable", "affine", affine())
    (first / "model.json").write_text("{")
    assert "not a valid manifest" in await refusal(tmp_path / "unreadable")
    first = register(tmp_path / "twice", "affine", affine())
    first.rename(first.with_name("other"))
    register(tmp_path / "twice", "affine", affine())
    assert "affine@1" in await refusal(tmp_path / "twice")
    no_graph = onnx.ModelProto()
    register(tmp_path / "empty", "affine", no_graph)
    assert "cannot load" in await refusal(tmp_path / "empty")


async def test_a_file_that_a_model_does_not_declare_does_no_harm(tmp_path: Path) -> None:
    (register(tmp_path, "affine", affine()) / "model-card.md").write_text("# Affine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("Models.")
    async with opened(tmp_path) as models:
        assert models.versions("affine") == ["1"]


@dataclass(frozen=True)
class Call:
    """One caller's rows, with the event loop turns at which they are sent and cancelled."""

    owner: str
    rows: Sequence[Sequence[float]]
    comes_at: int
    leaves_after: int | None


FLOATS = st.floats(-1000, 1000, width=32)
CALLS = st.lists(
    st.builds(
        Call,
        st.sampled_from(["ada", "bob", "cy"]),
        st.integers(1, 3).flatmap(
            lambda length: st.lists(st.lists(FLOATS, min_size=length, max_size=length), min_size=1, max_size=9)
        ),
        st.integers(0, 20),
        st.none() | st.integers(0, 20),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40)
@given(CALLS, st.integers(2, 8))
def test_rows_that_run_together_give_what_each_gives_alone(calls: list[Call], max_batch: int) -> None:
    asyncio.run(compare(calls, max_batch))


async def compare(calls: Sequence[Call], max_batch: int) -> None:
    with TemporaryDirectory() as folder:
        register(Path(folder), "masked", masked_sum(), max_batch=max_batch)
        async with opened(Path(folder)) as models:
            model = models.find("masked")
            tasks = [asyncio.create_task(ask(model, call)) for call in calls]
            done = await asyncio.gather(*tasks)
            last = await model.infer(tensors([[1.0, 2.0]]), owner="last")
    assert last.outputs[0].tolist() == [3.0]
    for call, outputs in zip(calls, done, strict=True):
        if outputs is not None:
            expected = np.array(call.rows, np.float32).sum(axis=1)
            np.testing.assert_allclose(outputs[0], expected, atol=1e-2)
            assert outputs[0].shape == outputs[1].shape == expected.shape
        else:
            assert call.leaves_after is not None


async def ask(model: ServedModel, call: Call) -> Sequence[np.ndarray] | None:
    for _ in range(call.comes_at):
        await asyncio.sleep(0)
    work = asyncio.create_task(model.infer(tensors(call.rows), owner=call.owner))
    if call.leaves_after is not None:
        for _ in range(call.leaves_after):
            await asyncio.sleep(0)
        work.cancel()
    try:
        return (await work).outputs
    except asyncio.CancelledError:
        return None


def tensors(rows: Sequence[Sequence[float]]) -> Mapping[str, np.ndarray]:
    x = np.array(rows, np.float32)
    return {"x": x, "mask": np.ones(x.shape, np.int64)}
