"""ONNX models on an NVIDIA GPU."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.adapters.onnx_session import load_session
from app.errors import StartupError
from app.inference.ports import ModelSession

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

log = structlog.get_logger(__name__)


class ModelSessionSettings(BaseModel):
    """How models run on the GPU."""

    model_config = ConfigDict(extra="forbid")

    device: int = Field(default=0, ge=0, description="number of the GPU")
    memory_limit: int = Field(default=0, ge=0, description="bytes of GPU memory a model may take; 0 is no limit")
    allow_fallback: bool = Field(default=False, description="run on the CPU when the GPU cannot be used")
    threads: int = Field(default=0, ge=0, description="threads of a model that fell back to the CPU; 0: one a core")


@asynccontextmanager
async def open_model_session(
    settings: ModelSessionSettings, path: Path, threads: int | None = None
) -> AsyncIterator[ModelSession]:
    """Load a model onto the GPU.

    Args:
        settings: how models run.
        path: the model file.
        threads: what one batch may use if it falls back to the CPU; what the settings say if not given.

    Raises:
        StartupError: the GPU cannot be used and fallback is not allowed, or the file is not a model.
    """
    options: dict[str, int] = {"device_id": settings.device}
    if settings.memory_limit:
        options["gpu_mem_limit"] = settings.memory_limit
    session = await load_session(path, providers=[(CUDA, options), CPU], threads=threads or settings.threads)
    # onnxruntime falls back in silence and lists CUDA as available even without a device.
    if session.provider != CUDA:
        if not settings.allow_fallback:
            raise StartupError(
                f"The model {path} cannot run on GPU {settings.device}: no usable CUDA device. "
                "Check `nvidia-smi` and the CUDA libraries (`uv sync --extra cuda`), "
                "or set APP_MODEL_SESSION__ALLOW_FALLBACK=true to run on the CPU."
            )
        log.warning("model_session.fell_back", model=str(path), provider=session.provider)
    yield session
