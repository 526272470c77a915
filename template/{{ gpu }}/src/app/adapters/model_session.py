"""ONNX models on NVIDIA GPUs."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import onnxruntime
import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.adapters.device_buffers import DeviceBuffers
from app.adapters.onnx_session import OnnxModelSession, load_session
from app.adapters.spread_session import spread
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.ports import ModelSession

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
NAMES: dict[Provider, str] = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}
# Operators that compute a few numbers: onnxruntime leaves them to the CPU on purpose, and strings can be nowhere else.
SHAPE_ARITHMETIC = re.compile(
    "Abs|Add|And|Cast|CastLike|Ceil|Concat|Constant|ConstantOfShape|Div|Equal|Expand|Flatten|Floor|Gather|"
    "GatherElements|GatherND|Greater|GreaterOrEqual|Identity|If|Less|LessOrEqual|Max|Min|Mod|Mul|Neg|NonZero|Not|Or|"
    "Pow|Range|ReduceMax|ReduceMin|ReduceProd|Reshape|Round|ScatterND|Shape|Sign|Size|Slice|Split|Sqrt|Squeeze|Sub|"
    "Tile|Unsqueeze|Where|Xor"
)

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


def _chain(settings: ModelSessionSettings, providers: Sequence[Provider]) -> list[Provider]:
    """List what may be used, preferred first."""
    last: list[Provider] = ["cpu"] if settings.allow_fallback else []
    return list(dict.fromkeys([*(providers or settings.providers), *last]))


async def _open_on(
    device: int, settings: ModelSessionSettings, path: Path, chain: Sequence[Provider], threads: int
) -> ModelSession:
    await asyncio.to_thread(preload)
    load = partial(load_session, path, threads=threads)
    for provider in chain:
        session = await load(providers=provider_options(settings, provider, device))
        # onnxruntime falls back in silence and lists CUDA as available even without a device.
        if session.provider != NAMES[provider] and not (session.provider == CPU and "cpu" in chain):
            continue
        if session.provider != NAMES[chain[0]]:
            log.warning("model_session.fell_back", model=str(path), provider=session.provider)
        if "cpu" not in chain:
            refuse_cpu(path, session)
        if settings.capture_graphs and session.provider != CPU and has_fixed_shapes(session):
            bind = partial(DeviceBuffers, "cuda", device)
            options = provider_options(settings, provider, device, capture=True)
            return await recorded(load(providers=options, bind=bind), session, path)
        return session
    raise StartupError(
        f"The model {path} cannot run on GPU {device} by {' or '.join(chain)}: no usable CUDA device or library. "
        "Check `nvidia-smi` (driver 580 or newer; Turing or newer) and the libraries (`uv sync --extra cuda`; those of "
        "TensorRT on the library path), "
        "or set APP_MODEL_SESSION__ALLOW_FALLBACK=true to run on the CPU."
    )


@cache
def preload() -> None:
    """Load the libraries of CUDA that came as wheels; the loader of providers does not look there."""
    if find_spec("nvidia"):
        onnxruntime.preload_dlls()


def refuse_cpu(path: Path, session: OnnxModelSession) -> None:
    """Pass if the CPU has no part of a graph but the arithmetic of shapes, which is faster there.

    Raises:
        StartupError: it has more, which onnxruntime leaves to it where a device lacks an operator.
    """
    left = sorted({each for each in session.operators_on(CPU) if not SHAPE_ARITHMETIC.fullmatch(each)})
    if left:
        raise StartupError(
            f"The model {path} would partly run on the CPU, because its provider lacks {', '.join(left)}: export it "
            'without, or allow the CPU, with "cpu" at the end of `providers` in its model.json or with '
            "APP_MODEL_SESSION__ALLOW_FALLBACK=true."
        )


async def recorded(loading: Awaitable[ModelSession], plain: ModelSession, path: Path) -> ModelSession:
    """Return the session whose work is recorded, or the plain one if the work cannot be."""
    try:
        return await loading
    except StartupError as error:
        # A node on the CPU is enough, and the model runs without.
        log.warning("model_session.not_recorded", model=str(path), reason=error.detail)
        return plain


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
    # Otherwise cuDNN tries out all its algorithms for each new size of a batch, while callers wait.
    cuda: dict[str, Any] = {"device_id": device, "cudnn_conv_algo_search": "HEURISTIC"}
    cuda["arena_extend_strategy"] = settings.arena
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
