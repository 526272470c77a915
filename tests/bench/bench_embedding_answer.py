# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi>=0.165", "numpy>=2.3", "orjson>=3.13", "psutil>=7.2", "uvicorn[standard]>=0.54"]
#
# [tool.uv]
# exclude-newer = "2026-11-20T00:00:00Z"
# ///
"""What an answer with one embedding costs, by how it is written: `uv run tests/bench/bench_embedding_answer.py`.

A server answers over HTTP with the same 384 numbers, every way in turn in one go. The cost is the processor time that
the server spends on a request, so that the client and a busy machine count for nothing; the median of the rounds.
"""

import argparse
import base64
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import orjson
import psutil
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "template/src"))
from app.inference.schemas import EmbeddingCreate, EmbeddingList, write_embeddings

VECTORS = np.random.default_rng(0).standard_normal((1, 384), dtype=np.float32)
VECTORS /= np.linalg.norm(VECTORS)
REQUEST = json.dumps({"model": "any", "input": "How long is the warranty?"})


def answer(embedding: object) -> dict[str, object]:
    """Give the answer as a dictionary."""
    data = [{"object": "embedding", "index": 0, "embedding": embedding}]
    return {"object": "list", "data": data, "model": "any", "usage": {"prompt_tokens": 8, "total_tokens": 8}}


def numbers() -> object:
    """Give the vector as a list of Python's floats."""
    return VECTORS[0].tolist()


def text() -> str:
    """Give the vector in base64."""
    return base64.b64encode(VECTORS[0].tobytes()).decode()


def ready(content: bytes) -> Response:
    """Answer with bytes that are JSON already."""
    return Response(content, media_type="application/json")


WAYS: dict[str, Callable[[], object]] = {
    "the service, base64": lambda: ready(write_embeddings(VECTORS, "base64", model="any", tokens=8)),
    "the service, float": lambda: ready(write_embeddings(VECTORS, "float", model="any", tokens=8)),
    "orjson, base64": lambda: ready(orjson.dumps(answer(text()))),
    "orjson, numpy array": lambda: ready(orjson.dumps(answer(VECTORS[0]), option=orjson.OPT_SERIALIZE_NUMPY)),
    "orjson, float": lambda: ready(orjson.dumps(answer(numbers()))),
    "pydantic model, base64": lambda: EmbeddingList.model_validate(answer(text())),
    "pydantic model, float": lambda: EmbeddingList.model_validate(answer(numbers())),
    "dict, JSONResponse": lambda: JSONResponse(answer(numbers())),
}
ORDER = list(WAYS.values())


def make_application() -> FastAPI:
    """Make a server that reads and checks a request, and answers it in the way whose number is in the path."""
    application = FastAPI()

    async def embed(way: int, body: EmbeddingCreate) -> object:  # noqa: ARG001 - reading it belongs to the cost
        return ORDER[way]()

    application.add_api_route("/{way}", embed, methods=["POST"], response_model=EmbeddingList)
    return application


@contextmanager
def serving() -> Iterator[tuple[psutil.Process, http.client.HTTPConnection]]:
    """Run the server in a process of its own; give that and a connection."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", f"{Path(__file__).stem}:make_application"]
    options = [
        "--app-dir",
        str(Path(__file__).parent),
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    server = subprocess.Popen([*command, *options])
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            while server.poll() is None:
                with suppress(ConnectionRefusedError):
                    connection.connect()
                    break
                time.sleep(0.1)
            yield psutil.Process(server.pid), connection
    finally:
        server.terminate()
        server.wait()


def cost(server: psutil.Process, connection: http.client.HTTPConnection, way: int, requests: int) -> tuple[float, int]:
    """Return the processor seconds that a request costs, and the bytes of its answer."""
    before = sum(server.cpu_times()[:2])
    for _ in range(requests):
        connection.request("POST", f"/{way}", REQUEST, {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            sys.exit(body.decode())
    return (sum(server.cpu_times()[:2]) - before) / requests, len(body)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="of each way in each round")
    given = parser.parse_args()
    with serving() as (server, connection):
        sizes = [cost(server, connection, way, 100)[1] for way in range(len(WAYS))]  # warms up
        times = [
            [cost(server, connection, way, given.requests)[0] for way in range(len(WAYS))] for _ in range(given.rounds)
        ]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    print(f"{'one embedding of 384 numbers':<30} {'cost':>8} {'ratio':>6} {'answer':>12}   ({given.rounds} rounds)")
    for name, median, size in zip(WAYS, medians, sizes, strict=True):
        print(f"{name:<30} {median * 1e6:>5.0f} us {median / min(medians):>6.2f} {size:>6} bytes")


if __name__ == "__main__":
    main()
