"""ONNX models on the CPU."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from app.adapters.onnx_session import load_session
from app.errors import StartupError
from app.inference.manifest import Provider
from app.inference.ports import ModelSession


class ModelSessionSettings(BaseModel):
    """Settings for running models on the CPU."""

    model_config = ConfigDict(extra="forbid")

    threads: int = Field(default=0, ge=0, description="threads that a model may use; 0 means one per core")


@asynccontextmanager
async def open_model_session(
    settings: ModelSessionSettings, path: Path, threads: int | None = None, providers: Sequence[Provider] = ()
) -> AsyncIterator[ModelSession]:
    """Load a model.

    Args:
        settings: settings for running models.
        path: the model file.
        threads: threads that one batch may use; by default those in the settings.
        providers: the manifest's providers; empty allows any.

    Raises:
        StartupError: the file is not a model that onnxruntime can run, or the model may not run on the CPU.
    """
    if providers and "cpu" not in providers:
        raise StartupError(
            f"The model {path} may run on {' and '.join(providers)} alone, and this service has the CPU: "
            'add "cpu" to `providers` in its model.json.'
        )
    yield await load_session(path, providers=["CPUExecutionProvider"], threads=threads or settings.threads)
