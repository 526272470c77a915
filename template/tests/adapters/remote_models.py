"""Helpers that open a remote model the way the service does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from app.adapters.remote_inference import RemoteInference, RemoteInferenceSettings, open_remote_inference
from app.inference.ports import ModelSession, Tensor

X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@asynccontextmanager
async def opened(*urls: str, **options: Any) -> AsyncIterator[tuple[RemoteInference, ModelSession]]:  # noqa: ANN401
    given = {"models": {"affine": "affine"}, "timeout": 1.5, "max_pause": 0.05, "max_bytes": 1_000_000} | options
    async with open_remote_inference(RemoteInferenceSettings.model_validate({"urls": urls, **given})) as remote:
        open_session = remote.find("affine", "1")
        assert open_session is not None
        async with open_session(1) as session:
            yield remote, session


async def run(session: ModelSession, x: Tensor = X) -> list[Tensor]:
    return await asyncio.to_thread(session.run, {"x": x})
