"""A worker in a separate process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import ROOT


@asynccontextmanager
async def run_worker(environment: dict[str, str], log: Path) -> AsyncIterator[None]:
    """Run a worker until the block ends, then stop it with SIGTERM as an operator would."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app.worker"]
        worker = subprocess.Popen(  # noqa: ASYNC220, S603 - a worker that is signalled by its id
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.to_thread(worker.wait), 60)
    finally:
        worker.kill()
        worker.wait()


async def wait_until_indexed(client: httpx2.AsyncClient, document: dict[str, Any]) -> None:
    """Wait until a worker has indexed the document."""
    async with asyncio.timeout(90):
        while document["status"] != "ready":
            assert document["status"] != "failed", document
            await asyncio.sleep(0.1)
            document = (await client.get(f"/v1/documents/{document['id']}")).json()
