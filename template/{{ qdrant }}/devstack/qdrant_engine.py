"""The one owner of the stand-in's data: calls to it take turns, and its answers have Qdrant's shape."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic_core import to_json
from qdrant_client import QdrantClient

_INDEXES = "payload_indexes.json"


class NotFoundError(Exception):
    """The collection in the request's path does not exist."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Local mode, the lock that its calls take turns with, and the payload indexes that it does not record itself.

    Attributes:
        indexes: The schema of each indexed field, by collection.
    """

    client: QdrantClient
    folder: Path | None
    indexes: dict[str, dict[str, str]]
    lock: Lock = field(default_factory=Lock)

    def call(self, operation: Callable[[QdrantClient], object], collection: str | None = None) -> Response:
        """Run the operation alone and return its answer.

        Raises:
            NotFoundError: There is no such collection.
        """
        started = time.perf_counter()
        with self.lock:
            if collection is not None and not self.client.collection_exists(collection):
                raise NotFoundError(f"Collection `{collection}` doesn't exist!")
            result = operation(self.client)
        return _answer({"result": result, "status": "ok", "time": time.perf_counter() - started})

    def keep_indexes(self) -> None:
        """Write the payload indexes down, whole or not at all."""
        if self.folder is not None:
            unfinished = self.folder / f"{_INDEXES}.new"
            unfinished.write_text(json.dumps(self.indexes))
            unfinished.replace(self.folder / _INDEXES)


def open_engine(folder: Path | None) -> Engine:
    """Open the data in `folder`, or an empty store in memory."""
    warnings.filterwarnings("ignore", module="qdrant_client|devstack")  # It says at every turn that it is no server.
    if folder is None:
        return Engine(QdrantClient(location=":memory:"), None, {})
    client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
    recorded = folder / _INDEXES
    return Engine(client, folder, json.loads(recorded.read_text()) if recorded.exists() else {})


def failure(status: int, text: str) -> Response:
    """Return an error in Qdrant's shape."""
    return _answer({"status": {"error": text}, "time": 0.0}, status)


def _answer(body: object, status: int = 200) -> Response:
    return Response(to_json(body), status, media_type="application/json")


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


EngineDep = Annotated[Engine, Depends(_engine)]
