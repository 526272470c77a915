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
# Operators that onnxruntime deliberately runs on the CPU, because they compute only a few numbers, or strings.
SHAPE_ARITHMETIC = re.compile(
    "Abs|Add|And|Cast|CastLike|Ceil|Concat|Constant|ConstantOfShape|Div|Equal|Expand|Flatten|Floor|Gather|"
    "GatherElements|GatherND|Greater|GreaterOrEqual|Identity|If|Less|LessOrEqual|Max|Min|Mod|Mul|Neg|NonZero|Not|Or|"
    "Pow|Range|ReduceMax|ReduceMin|ReduceProd|Reshape|Round|ScatterND|Shape|Sign|Size|Slice|Split|Sqrt|Squeeze|Sub|"
    "Tile|Unsqueeze|Where|Xor"
)

log = structlog.get_logger(__name__)


class ModelSessionSettings(BaseModel):
    """Settings for running models on GPUs."""

    model_config = ConfigDict(extra="forbid")

    providers: list[Provider] = Field(
        default=["cuda"], min_length=1, description="execution providers, preferred first; unavailable ones are skipped"
    )
    devices: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0], min_length=1, description="numbers of the GPUs; each model is loaded on all, with a lane for each"
    )
    memory_limit: int = Field(default=0, ge=0, description="bytes of a GPU's memory per model; 0 means no limit")
    arena: Literal["kNextPowerOfTwo", "kSameAsRequested"] = Field(
        default="kNextPowerOfTwo", description="how a model's memory grows: in few large steps, or as needed"
    )
    capture_graphs: bool = Field(default=False, description="record CUDA graphs of models whose shapes are all fixed")
    engine_cache: Path | None = Field(default=None, description="folder for TensorRT engines; null rebuilds at startup")
    fp16: bool = Field(default=False, description="whether TensorRT may use half precision")
    allow_fallback: bool = Field(default=False, description="run on the CPU if the GPU cannot be used")
    threads: int = Field(default=0, ge=0, description="threads of a model on the CPU; 0 means one per core")


@asynccontextmanager
async def open_model_session(
    settings: ModelSessionSettings, path: Path, threads: int | None = None, providers: Sequence[Provider] = ()
) -> AsyncIterator[ModelSession]:
    """Load a model onto every configured GPU.

    Args:
        settings: settings for running models.
        path: the model file.
        threads: threads that one batch may use on the CPU; by default those in the settings.
        providers: the manifest's providers, preferred first; by default those in the settings.

    Raises:
        StartupError: no provider can be used, the CPU would run part of the model without being allowed to, or the
            file is not a model.
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
    """Return the providers to try, preferred first."""
    last: list[Provider] = ["cpu"] if settings.allow_fallback else []
    return list(dict.fromkeys([*(providers or settings.providers), *last]))


async def _open_on(
    device: int, settings: ModelSessionSettings, path: Path, chain: Sequence[Provider], threads: int
) -> ModelSession:
    await asyncio.to_thread(preload)
    load = partial(load_session, path, threads=threads)
    for provider in chain:
        session = await load(providers=provider_options(settings, provider, device))
        # onnxruntime falls back silently and lists CUDA as available even without a device.
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
    """Load the CUDA libraries that are installed as wheels, which onnxruntime does not find by itself."""
    if find_spec("nvidia"):
        onnxruntime.preload_dlls()


def refuse_cpu(path: Path, session: OnnxModelSession) -> None:
    """Check that the CPU runs only the shape arithmetic of a graph, which is faster there.

    Raises:
        StartupError: the CPU runs other operators, which the provider lacks.
    """
    left = sorted({each for each in session.operators_on(CPU) if not SHAPE_ARITHMETIC.fullmatch(each)})
    if left:
        raise StartupError(
            f"The model {path} would partly run on the CPU, because its provider lacks {', '.join(left)}: export it "
            'without, or allow the CPU, with "cpu" at the end of `providers` in its model.json or with '
            "APP_MODEL_SESSION__ALLOW_FALLBACK=true."
        )


async def recorded(loading: Awaitable[ModelSession], plain: ModelSession, path: Path) -> ModelSession:
    """Return the session with a recorded CUDA graph, or the plain session if recording fails."""
    try:
        return await loading
    except StartupError as error:
        # A single node on the CPU prevents recording; the model runs without it.
        log.warning("model_session.not_recorded", model=str(path), reason=error.detail)
        return plain


def provider_options(
    settings: ModelSessionSettings, provider: Provider, device: int, *, capture: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """Return onnxruntime's providers and options: the provider, and fallbacks for operators that it lacks.

    Args:
        settings: settings for running models.
        provider: the preferred provider.
        device: number of the GPU.
        capture: whether to record a CUDA graph.
    """
    last: tuple[str, dict[str, Any]] = (CPU, {})
    if provider == "cpu":
        return [last]
    # By default cuDNN benchmarks all its algorithms for each new batch size, while callers wait.
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
    """Return whether all inputs and outputs are numbers of fixed, non-scalar shape, which recording requires."""
    return all(
        spec.shape and spec.datatype != "BYTES" and all(isinstance(each, int) for each in spec.shape)
        for spec in (*session.inputs, *session.outputs)
    )
