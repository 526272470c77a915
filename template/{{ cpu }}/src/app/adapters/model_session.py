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

    threads: int = Field(default=0, ge=0, description="threads that one batch may use; 0 takes every core")


@asynccontextmanager
async def open_model_session(settings: ModelSessionSettings, path: Path) -> AsyncIterator[ModelSession]:
    """Load a model.

    Raises:
        StartupError: the file is not a model that onnxruntime can run.
    """
    yield await load_session(path, providers=["CPUExecutionProvider"], threads=settings.threads)
