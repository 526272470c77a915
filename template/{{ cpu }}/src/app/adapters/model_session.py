"""ONNX models on the CPU."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from app.adapters.onnx_session import load_session
from app.inference.ports import ModelSession


class ModelSessionSettings(BaseModel):
    """How models run on the CPU."""

    model_config = ConfigDict(extra="forbid")

    threads: int = Field(default=0, ge=0, description="threads that a model may use; 0 is one for each core")


@asynccontextmanager
async def open_model_session(
    settings: ModelSessionSettings, path: Path, threads: int | None = None
) -> AsyncIterator[ModelSession]:
    """Load a model.

    Args:
        settings: how models run.
        path: the model file.
        threads: what one batch may use; what the settings say if not given.

    Raises:
        StartupError: the file is not a model that onnxruntime can run.
    """
    yield await load_session(path, providers=["CPUExecutionProvider"], threads=threads or settings.threads)
