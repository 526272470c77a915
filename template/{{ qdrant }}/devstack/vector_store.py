"""The vector store of the development stack: a Qdrant-speaking server on loopback, or the user's own Qdrant."""

import sys
from pathlib import Path

from devstack.processes import Processes
from devstack.servers import Server, given_url, http_answers
from devstack.state import HOST, lasting_port


def start(processes: Processes, *, durable: bool) -> Server | None:
    """Start the stand-in server, unless APP_VECTOR_STORE__URL or QDRANT_URL names a server.

    `durable` keeps its data for the next run; otherwise it lives in memory.
    """
    url = given_url("APP_VECTOR_STORE__URL", "QDRANT_URL")
    if url is not None:
        return Server("Qdrant", url)
    port = lasting_port(processes.folder, "qdrant")
    storage = ["--folder", str(processes.folder / "qdrant")] if durable else []
    processes.start(
        "qdrant",
        [sys.executable, "-m", "devstack.qdrant_server", "--port", str(port), *storage],
        folder=Path(__file__).parents[1],
    )
    return Server("Qdrant stand-in", f"http://{HOST}:{port}", lambda: http_answers(port, "/readyz"))
