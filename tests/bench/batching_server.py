"""The server of the batching benchmark: the emitted batching behind one plain FastAPI route.

Run as `python batching_server.py NAME FOLDER DEADLINE PORT`.
"""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from app.garbage_collection import rarer_garbage_collection
from app.inference.batching import open_batcher
from app.inference.capacity import BatchingSettings, available_cores, open_capacity
from app.problems import install_problem_handlers
from batching_plain import Asked, AskedTokens, Given
from batching_sessions import written
from batching_work import ROWS, opened, size_of, work_named
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def make_app(name: str, folder: Path, deadline: float) -> FastAPI:
    """Build the server for one model."""
    work = work_named(name, folder)
    state: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        settings = BatchingSettings()
        async with open_capacity(settings, partial(opened, work), work.workload, cores=available_cores()) as capacity:
            curve = capacity.curve
            print("capacity", curve.lanes, curve.limit, list(zip(curve.units, curve.seconds, strict=True)), flush=True)
            runs = [partial(work.run, session) for session in capacity.sessions]
            async with open_batcher(name, runs, curve, rows=ROWS, grace=20) as batcher:
                state["batcher"] = batcher
                with rarer_garbage_collection():
                    yield

    async def run(asked: Asked) -> Given:
        outcome = await state["batcher"].submit([asked.input], [size_of(asked.input, name)], within=deadline)
        return Given(output=written(outcome.results[0]))

    run.__annotations__["asked"] = AskedTokens if name == "encoder" else Asked
    run.__annotations__["return"] = Given
    app = FastAPI(lifespan=lifespan)
    install_problem_handlers(app)
    app.add_api_route("/run", run, methods=["POST"])
    return app


def main() -> None:
    """Serve until SIGTERM."""
    name, folder, deadline, port = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    app = make_app(name, Path(folder), float(deadline))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
