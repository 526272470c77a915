"""Tests of models on GPUs: options for onnxruntime, and errors without a device. `poe test-gpu` needs a device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from app.adapters.model_session import (
    CPU,
    CUDA,
    NAMES,
    TENSORRT,
    ModelSessionSettings,
    has_fixed_shapes,
    open_model_session,
    preload,
    provider_options,
    recorded,
    refuse_cpu,
)
from app.adapters.onnx_session import OnnxModelSession, load_session
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.ports import ModelSession
from tests.gpu.devices import count_devices
from tests.inference.tensor_graphs import affine

MODELS = Path(__file__).parents[2] / "models"
MODEL, DETECTION = MODELS / "embedding" / "model.onnx", MODELS / "detection" / "model.onnx"
LAST: tuple[str, dict[str, Any]] = (CPU, {})


def test_libraries_that_came_as_wheels_are_loaded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append("CUDA"))
    (tmp_path / "nvidia").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    preload.cache_clear()
    preload()
    preload()
    preload.cache_clear()
    assert loaded == ["CUDA"]


@pytest.mark.parametrize("providers", [[], ["cuda"], ["tensorrt"], ["tensorrt", "cuda"]])
async def test_without_a_device_the_service_refuses_and_says_what_to_do(providers: list[Provider]) -> None:
    if count_devices():
        pytest.skip("this machine has a GPU")
    with pytest.raises(StartupError, match="APP_MODEL_SESSION__ALLOW_FALLBACK"):
        async with open_model_session(ModelSessionSettings(), MODEL, providers=providers):
            pass


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
async def test_with_fallback_allowed_the_provider_that_is_named_is_the_real_one(provider: Provider) -> None:
    settings = ModelSessionSettings(providers=[provider], allow_fallback=True)
    with capture_logs() as logs:
        async with open_model_session(settings, MODEL) as session:
            assert session.provider == (NAMES[provider] if count_devices() else CPU)
            assert session.output_names == ["sentence_embedding"]
    [placed, *_] = [each for each in logs if each["event"] == "model_session.placed"]
    assert max(placed["shares"], key=placed["shares"].get) == session.provider


async def test_a_model_whose_manifest_says_so_stays_on_the_cpu() -> None:
    async with open_model_session(ModelSessionSettings(devices=[0, 1]), MODEL, providers=["cpu"]) as session:
        assert session.provider == CPU


async def test_a_manifest_may_name_the_cpu_as_the_second_choice() -> None:
    if count_devices():
        pytest.skip("this machine has a GPU")
    async with open_model_session(ModelSessionSettings(), MODEL, providers=["cuda", "cpu"]) as session:
        assert session.provider == CPU


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StartupError, match=r"model\.onnx"):
        async with open_model_session(ModelSessionSettings(allow_fallback=True), tmp_path / "model.onnx"):
            pass


def test_what_is_not_set_is_left_to_onnxruntime() -> None:
    options = provider_options(ModelSessionSettings(), "cuda", 0)
    told = {"device_id": 0, "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kNextPowerOfTwo"}
    assert options == [(CUDA, told), LAST]
    assert provider_options(ModelSessionSettings(), "cpu", 3) == [LAST]


def test_settings_of_memory_and_recording_reach_cuda() -> None:
    settings = ModelSessionSettings(memory_limit=10**9, arena="kSameAsRequested")
    [(name, told), last] = provider_options(settings, "cuda", 2, capture=True)
    wanted = {"device_id": 2, "gpu_mem_limit": 10**9, "arena_extend_strategy": "kSameAsRequested"}
    assert (name, last) == (CUDA, LAST)
    assert told.items() >= (wanted | {"enable_cuda_graph": 1}).items()


def test_settings_of_engines_reach_tensorrt_and_cuda_takes_what_it_leaves() -> None:
    settings = ModelSessionSettings(engine_cache=Path("engines"), fp16=True, memory_limit=10**9)
    [(first, told), (second, rest), last] = provider_options(settings, "tensorrt", 1, capture=True)
    assert (first, second, last) == (TENSORRT, CUDA, LAST)
    assert told == {
        "device_id": 1,
        "trt_fp16_enable": True,
        "trt_cuda_graph_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": "engines",
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": "engines",
    }
    # The part that CUDA runs is not recorded; TensorRT records its own work.
    assert (rest["device_id"], rest["gpu_mem_limit"], "enable_cuda_graph" in rest) == (1, 10**9, False)


@pytest.mark.parametrize(
    "wrong", [{"devices": []}, {"devices": [-1]}, {"providers": []}, {"providers": ["rocm"]}, {"arena": "large"}]
)
def test_wrong_settings_are_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ModelSessionSettings.model_validate(wrong)


async def loaded(path: Path) -> OnnxModelSession:
    return await load_session(path, providers=[CPU], threads=1)


async def test_a_model_whose_convolutions_are_left_to_the_cpu_is_refused_and_they_are_named() -> None:
    session = await loaded(DETECTION)
    with pytest.raises(StartupError, match=r"lacks Conv, .*APP_MODEL_SESSION__ALLOW_FALLBACK=true"):
        refuse_cpu(DETECTION, session)


async def test_the_arithmetic_of_shapes_may_be_left_to_the_cpu(tmp_path: Path) -> None:
    onnx.save(affine(), tmp_path / "model.onnx")
    refuse_cpu(tmp_path / "model.onnx", await loaded(tmp_path / "model.onnx"))


async def test_a_model_whose_work_cannot_be_recorded_runs_without(tmp_path: Path) -> None:
    async def load() -> ModelSession:
        raise StartupError("not all nodes are on the device")

    plain = await loaded(MODEL)
    with capture_logs() as logs:
        assert await recorded(load(), plain, tmp_path) is plain
    assert logs[0]["event"] == "model_session.not_recorded"


@pytest.mark.parametrize(("rows", "fixed"), [(2, True), ("rows", False), (None, False)])
def test_only_shapes_that_never_vary_can_be_recorded(rows: int | str | None, fixed: bool) -> None:  # noqa: FBT001 - a case
    session = onnxruntime.InferenceSession(affine(rows=rows).SerializeToString(), providers=[CPU])
    assert has_fixed_shapes(OnnxModelSession(session)) == fixed
