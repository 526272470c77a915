"""ONNX models on NVIDIA GPUs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

import numpy as np
import onnxruntime
import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.adapters.onnx_session import DATATYPES, load_session
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.inference.tensor_types import DTYPES

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
NAMES: dict[Provider, str] = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}

log = structlog.get_logger(__name__)


class ModelSessionSettings(BaseModel):
    """How models run on GPUs."""

    model_config = ConfigDict(extra="forbid")

    providers: list[Provider] = Field(
        default=["cuda"], min_length=1, description="what models run on, preferred first; the next if one is not there"
    )
    devices: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0], min_length=1, description="numbers of the GPUs; a model is on each of them, with a lane for each"
    )
    memory_limit: int = Field(default=0, ge=0, description="bytes of a GPU's memory a model may take; 0 is no limit")
    arena: Literal["kNextPowerOfTwo", "kSameAsRequested"] = Field(
        default="kNextPowerOfTwo", description="how a model's memory grows: in few large steps, or by what is needed"
    )
    capture_graphs: bool = Field(
        default=False, description="record the work of models whose shapes are all fixed, and launch it as one"
    )
    engine_cache: Path | None = Field(default=None, description="keeps what TensorRT builds; none builds at each start")
    fp16: bool = Field(default=False, description="whether TensorRT may compute in half precision")
    allow_fallback: bool = Field(default=False, description="run on the CPU when the GPU cannot be used")
    threads: int = Field(default=0, ge=0, description="threads of a model that is on the CPU; 0: one a core")


@asynccontextmanager
async def open_model_session(
    settings: ModelSessionSettings, path: Path, threads: int | None = None, providers: Sequence[Provider] = ()
) -> AsyncIterator[ModelSession]:
    """Load a model onto every GPU of the settings.

    Args:
        settings: how models run.
        path: the model file.
        threads: what one batch may use on the CPU; what the settings say if not given.
        providers: what its manifest says that it may run on; what the settings say if it says nothing.

    Raises:
        StartupError: none of these can be used and fallback is not allowed, or the file is not a model.
    """
    chain, cores = _chain(settings, providers), threads or settings.threads
    first, *others = dict.fromkeys(settings.devices)
    session = await _open_on(first, settings, path, chain, cores)
    if session.provider == CPU or not others:
        yield session
    else:
        more = {device: await _open_on(device, settings, path, chain, cores) for device in others}
        yield spread({first: session, **more})


def spread(sessions: Mapping[int, ModelSession]) -> ModelSession:
    """Make one of a model's sessions on devices, by their numbers; what runs on less than the first is left out."""
    first, *_ = sessions.values()
    for device, session in sessions.items():
        if session.provider != first.provider:
            log.error("model_session.device_left_out", device=device, provider=session.provider)
    alike = [session for session in sessions.values() if session.provider == first.provider]
    return SpreadSession(alike) if len(alike) > 1 else first


class SpreadSession:
    """A model on several devices; a batch runs where least is under way. Thread-safe."""

    def __init__(self, sessions: Sequence[ModelSession]) -> None:
        self._sessions = sessions
        self._running = [0] * len(sessions)
        self._last = -1
        self._lock = Lock()

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return len(self._sessions)

    @property
    def provider(self) -> str:
        """The provider of the devices."""
        return self._sessions[0].provider

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""
        return self._sessions[0].output_names

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What `run` must be given."""
        return self._sessions[0].inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What `run` returns, in this order."""
        return self._sessions[0].outputs

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs on one of the devices."""
        with self._lock:
            # Of those with as little to do the next one, so that each gets warm.
            turns = [(self._last + 1 + each) % len(self._running) for each in range(len(self._running))]
            at = self._last = min(turns, key=self._running.__getitem__)
            self._running[at] += 1
        try:
            return self._sessions[at].run(inputs)
        finally:
            with self._lock:
                self._running[at] -= 1


class DeviceBuffers:
    """Runs a session with inputs and outputs that stay where they are on a device, as a recorded graph needs them.

    Args:
        kind: of the device, in onnxruntime's words: `cuda`, or `cpu`.
        number: of the device.
        session: its inputs and outputs have fixed shapes.
    """

    def __init__(self, kind: str, number: int, session: onnxruntime.InferenceSession) -> None:
        make = partial(onnxruntime.OrtValue.ortvalue_from_shape_and_type, device_type=kind, device_id=number)
        self._session = session
        self._types = {each.name: DTYPES[DATATYPES[each.type]] for each in session.get_inputs()}
        self._inputs = {each.name: make(each.shape, self._types[each.name]) for each in session.get_inputs()}
        self._outputs = {each.name: make(each.shape, DTYPES[DATATYPES[each.type]]) for each in session.get_outputs()}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._lock = Lock()

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; one call at a time.

        Raises:
            ValueError: the inputs are not those of the graph; they would be copied over what lies behind.
        """
        for name, value in self._inputs.items():
            given = inputs[name]
            if given.dtype != self._types[name] or list(given.shape) != list(value.shape()):
                raise ValueError(f"{name} is {given.dtype} {given.shape}, not {self._types[name]} {value.shape()}")
        with self._lock:
            for name, value in self._inputs.items():
                value.update_inplace(inputs[name])
            self._binding.synchronize_inputs()
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
            # What is shared with the buffers would be the next caller's answer.
            return [np.array(value.numpy()) for value in self._outputs.values()]


def _chain(settings: ModelSessionSettings, providers: Sequence[Provider]) -> list[Provider]:
    """List what may be used, preferred first."""
    last: list[Provider] = ["cpu"] if settings.allow_fallback else []
    return list(dict.fromkeys([*(providers or settings.providers), *last]))


async def _open_on(
    device: int, settings: ModelSessionSettings, path: Path, chain: Sequence[Provider], threads: int
) -> ModelSession:
    if find_spec("nvidia"):
        # Wheels put the libraries of CUDA where the loader of providers does not look.
        await asyncio.to_thread(onnxruntime.preload_dlls)
    for provider in chain:
        options = provider_options(settings, provider, device)
        session = await load_session(path, providers=options, threads=threads)
        # onnxruntime falls back in silence and lists CUDA as available even without a device.
        if session.provider != NAMES[provider] and not (session.provider == CPU and "cpu" in chain):
            continue
        if session.provider != NAMES[chain[0]]:
            log.warning("model_session.fell_back", model=str(path), provider=session.provider)
        if settings.capture_graphs and session.provider != CPU and has_fixed_shapes(session):
            bind = partial(DeviceBuffers, "cuda", device)
            options = provider_options(settings, provider, device, capture=True)
            return await load_session(path, providers=options, threads=threads, bind=bind)
        return session
    raise StartupError(
        f"The model {path} cannot run on GPU {device} by {' or '.join(chain)}: no usable CUDA device or library. "
        "Check `nvidia-smi` and the libraries (`uv sync --extra cuda`; those of TensorRT on the library path), "
        "or set APP_MODEL_SESSION__ALLOW_FALLBACK=true to run on the CPU."
    )


def provider_options(
    settings: ModelSessionSettings, provider: Provider, device: int, *, capture: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """Write what onnxruntime is told to run a model with: a provider, and those for what it leaves over.

    Args:
        settings: how models run.
        provider: the one that is wanted.
        device: number of the GPU.
        capture: whether the work is recorded.
    """
    last: tuple[str, dict[str, Any]] = (CPU, {})
    if provider == "cpu":
        return [last]
    cuda: dict[str, Any] = {"device_id": device, "arena_extend_strategy": settings.arena}
    if settings.memory_limit:
        cuda["gpu_mem_limit"] = settings.memory_limit
    if provider == "cuda":
        return [(CUDA, cuda | ({"enable_cuda_graph": 1} if capture else {})), last]
    tensorrt: dict[str, Any] = {"device_id": device, "trt_fp16_enable": settings.fp16, "trt_cuda_graph_enable": capture}
    if settings.engine_cache:
        folder = str(settings.engine_cache)
        tensorrt |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": folder}
        tensorrt |= {"trt_timing_cache_enable": True, "trt_timing_cache_path": folder}
    return [(TENSORRT, tensorrt), (CUDA, cuda), last]


def has_fixed_shapes(session: ModelSession) -> bool:
    """Tell whether inputs and outputs are numbers in shapes that never vary, so that the work can be recorded."""
    return all(
        spec.shape and spec.datatype != "BYTES" and all(isinstance(each, int) for each in spec.shape)
        for spec in (*session.inputs, *session.outputs)
    )
