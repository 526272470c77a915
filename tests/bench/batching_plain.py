"""A model behind plain FastAPI, as one would write it first: one request, one run, in FastAPI's own threads.

Run as `python batching_plain.py NAME FOLDER THREADS PORT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from batching_sessions import opened, run_named, written
from fastapi import FastAPI
from pydantic import BaseModel


class Asked(BaseModel):
    """One row."""

    input: list[float]


class AskedTokens(BaseModel):
    """One text."""

    input: list[int]


class Given(BaseModel):
    """What the model made of it: base64 of float32."""

    output: str


def make_app(name: str, folder: Path, threads: int) -> FastAPI:
    """Build the server for one model."""
    session = opened(name, folder, threads)

    def run(asked: Asked) -> Given:
        [row] = run_named(name, session, [asked.input])
        return Given(output=written(row))

    async def bare(_: Asked) -> Given:
        return Given(output="A" * 88)

    run.__annotations__["asked"] = bare.__annotations__["_"] = AskedTokens if name == "encoder" else Asked
    run.__annotations__["return"] = bare.__annotations__["return"] = Given
    app = FastAPI()
    app.add_api_route("/run", run, methods=["POST"])
    app.add_api_route("/bare", bare, methods=["POST"])
    return app


if __name__ == "__main__":
    name, folder, threads, port = sys.argv[1:]
    app = make_app(name, Path(folder), int(threads))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
