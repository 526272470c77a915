"""A loopback server that speaks enough of Qdrant's REST interface for development and tests. It is not Qdrant.

It puts qdrant-client's own local mode, an exact search in Python, behind the network interface, because local mode
belongs to one process while the API and the worker are two. Use it to develop without containers; run the same tests
with QDRANT_URL set to check against the real one. It has no index, no replication, no authentication and no place in
production.

Run it with: python -m devstack.qdrant_server --port PORT [--folder FOLDER]
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from devstack import qdrant_collections, qdrant_points
from devstack.qdrant_engine import NotFoundError, failure, open_engine

_SPOKEN_VERSION = "1.20.0"


def create_app(folder: Path | None) -> FastAPI:
    """Return the server; its data is kept in `folder`, or in memory if there is none."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = open_engine(folder)
        app.state.engine = engine
        yield
        engine.client.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.include_router(qdrant_collections.router)
    app.include_router(qdrant_points.router)
    app.add_api_route("/", _root)
    app.add_api_route("/readyz", _ready)
    app.add_api_route("/healthz", _ready)
    app.add_exception_handler(NotFoundError, lambda _, error: failure(404, f"Not found: {error}"))
    app.add_exception_handler(HTTPException, _unknown_path)
    app.add_exception_handler(RequestValidationError, lambda _, error: failure(400, f"Format error: {error}"))
    app.add_exception_handler(KeyError, lambda _, error: failure(404, f"Not found: No point with id {error} found"))
    for wrong_input in (ValueError, TypeError):
        app.add_exception_handler(wrong_input, _wrong_input)
    app.add_exception_handler(NotImplementedError, lambda _, error: failure(501, f"Only real Qdrant can: {error}"))
    return app


def _root() -> dict[str, str]:
    return {"title": "Stand-in for Qdrant, for development only", "version": _SPOKEN_VERSION}


def _ready() -> str:
    return "all shards are ready"


def _unknown_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return failure(status, f"This stand-in has no {request.method} {request.url.path}")


def _wrong_input(_request: Request, error: Exception) -> Response:
    """Tell a name that exists from one that is missing and from plain wrong input, as Qdrant does."""
    text = str(error)
    if text.startswith(("Collection ", "Alias ")):
        if text.endswith("already exists"):
            return failure(409, f"Wrong input: {text}!")
        if text.endswith(("not found", "does not exist")):
            return failure(404, f"Not found: {text}")
    return failure(400, text if text.startswith("Wrong input") else f"Wrong input: {text}")


def main() -> None:
    """Serve until a stop signal."""
    parser = argparse.ArgumentParser(prog="python -m devstack.qdrant_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, help="where to keep the data; in memory when left out")
    options = parser.parse_args()
    uvicorn.run(create_app(options.folder), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
