"""Models on GPUs: what onnxruntime is told, and what happens without a device. `poe test-gpu` tests on one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import numpy as np
import onnxruntime
import pytest
from pydantic import ValidationError

from app.adapters.model_session import (
    CPU,
    CUDA,
    NAMES,
    TENSORRT,
    DeviceBuffers,
    ModelSessionSettings,
    SpreadSession,
    has_fixed_shapes,
    open_model_session,
    provider_options,
    spread,
)
from app.adapters.onnx_session import OnnxModelSession
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.ports import Tensor, TensorSpec
from tests.inference.tensor_graphs import affine

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"
LAST: tuple[str, dict[str, Any]] = (CPU, {})


def has_device() -> bool:
    """Tell whether CUDA can really be used; onnxruntime lists it even without a device."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=[CUDA, CPU])
    return bool(session.get_providers()[0] == CUDA)


@pytest.mark.parametrize("providers", [[], ["cuda"], ["tensorrt"], ["tensorrt", "cuda"]])
async def test_without_a_device_the_service_refuses_and_says_what_to_do(providers: list[Provider]) -> None:
    if has_device():
        pytest.skip("this machine has a GPU")
    with pytest.raises(StartupError, match="APP_MODEL_SESSION__ALLOW_FALLBACK"):
        async with open_model_session(ModelSessionSettings(), MODEL, providers=providers):
            pass


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
async def test_with_fallback_allowed_the_provider_that_is_named_is_the_real_one(provider: Provider) -> None:
    settings = ModelSessionSettings(providers=[provider], allow_fallback=True)
    async with open_model_session(settings, MODEL) as session:
        assert session.provider == (NAMES[provider] if has_device() else CPU)
        assert session.output_names == ["sentence_embedding"]


async def test_a_model_whose_manifest_says_so_stays_on_the_cpu() -> None:
    async with open_model_session(ModelSessionSettings(devices=[0, 1]), MODEL, providers=["cpu"]) as session:
        assert session.provider == CPU


async def test_a_manifest_may_name_the_cpu_as_the_second_choice() -> None:
    if has_device():
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
    assert options == [(CUDA, {"device_id": 0, "arena_extend_strategy": "kNextPowerOfTwo"}), LAST]
    assert provider_options(ModelSessionSettings(), "cpu", 3) == [LAST]


def test_settings_of_memory_and_recording_reach_cuda() -> None:
    settings = ModelSessionSettings(memory_limit=10**9, arena="kSameAsRequested")
    [(name, told), last] = provider_options(settings, "cuda", 2, capture=True)
    wanted = {"device_id": 2, "gpu_mem_limit": 10**9, "arena_extend_strategy": "kSameAsRequested"}
    assert (name, told, last) == (CUDA, wanted | {"enable_cuda_graph": 1}, LAST)


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
    # The part that CUDA runs is not recorded: TensorRT records its own.
    assert (rest["device_id"], rest["gpu_mem_limit"], "enable_cuda_graph" in rest) == (1, 10**9, False)


@pytest.mark.parametrize(
    "wrong", [{"devices": []}, {"devices": [-1]}, {"providers": []}, {"providers": ["rocm"]}, {"arena": "large"}]
)
def test_wrong_settings_are_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ModelSessionSettings.model_validate(wrong)


@dataclass
class Device:
    """Stands for a session on a device: notes what it is given, and waits where it is told to."""

    given: list[float] = field(default_factory=list)
    wait: Event | None = None
    provider: str = CUDA
    output_names: list[str] = field(default_factory=lambda: ["y"])
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        self.given.append(float(inputs["x"]))
        if self.wait and not self.wait.wait(60):
            raise TimeoutError
        return [inputs["x"]]


def test_batches_one_after_the_other_reach_every_device() -> None:
    devices = [Device(), Device(), Device()]
    spread = SpreadSession(devices)
    for number in range(6):
        assert spread.run({"x": np.array(number)}) == [number]
    assert [each.given for each in devices] == [[0, 3], [1, 4], [2, 5]]


def test_a_batch_does_not_wait_behind_another_while_a_device_is_free() -> None:
    slow = Device(wait=Event())
    free = Device()
    spread = SpreadSession([slow, free])
    first = Thread(target=spread.run, args=({"x": np.array(0)},))
    first.start()
    while not slow.given:
        first.join(0.01)
    for number in range(1, 4):
        spread.run({"x": np.array(number)})
    assert (slow.given, free.given) == ([0], [1, 2, 3])
    assert slow.wait is not None
    slow.wait.set()
    first.join()
    spread.run({"x": np.array(4)})
    assert slow.given == [0, 4]


def test_a_device_that_fell_back_gets_no_batches() -> None:
    devices = [Device(), Device(provider=CPU), Device()]
    session = spread(dict(enumerate(devices)))
    for number in range(4):
        session.run({"x": np.array(number)})
    assert [each.given for each in devices] == [[0, 2], [], [1, 3]]
    assert isinstance(session, SpreadSession)
    assert session.devices == 2


def test_one_device_that_is_left_is_used_as_one() -> None:
    devices = [Device(), Device(provider=CPU)]
    assert spread(dict(enumerate(devices))) is devices[0]


def buffered(rows: int = 2) -> tuple[onnxruntime.InferenceSession, DeviceBuffers]:
    session = onnxruntime.InferenceSession(affine(rows=rows).SerializeToString(), providers=[CPU])
    return session, DeviceBuffers("cpu", 0, session)


def test_buffers_give_what_the_session_gives_and_earlier_answers_stay() -> None:
    session, buffers = buffered()
    inputs = [np.full((2, 3), number, np.float32) for number in range(5)]
    answers = [buffers({"x": each}) for each in inputs]
    for given, [answer] in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(answer, session.run(None, {"x": given})[0])


def test_callers_of_the_same_buffers_get_their_own_answers() -> None:
    _, buffers = buffered()
    wrong: list[float] = []
    together = Barrier(4)

    def call(number: float) -> None:
        together.wait()
        for _ in range(50):
            [answer] = buffers({"x": np.full((2, 3), number, np.float32)})
            wrong.extend(answer[answer != 2 * number + 1])

    threads = [Thread(target=call, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


@pytest.mark.parametrize("given", [np.zeros((3, 3), np.float32), np.zeros((2, 3)), np.zeros((2, 2), np.float32)])
def test_what_does_not_fit_is_not_copied_over_its_neighbours(given: Tensor) -> None:
    with pytest.raises(ValueError, match="x is"):
        buffered()[1]({"x": given})


@pytest.mark.parametrize(("rows", "fixed"), [(2, True), ("rows", False), (None, False)])
def test_only_shapes_that_never_vary_can_be_recorded(rows: int | str | None, fixed: bool) -> None:  # noqa: FBT001 - a case
    session = onnxruntime.InferenceSession(affine(rows=rows).SerializeToString(), providers=[CPU])
    assert has_fixed_shapes(OnnxModelSession(session)) == fixed
