"""A rendered project, installed and run as its user would run it."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil
import pytest

READY_SECONDS = 180
INDEXED_SECONDS = 120


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what belongs to the test run itself."""
    unwanted = re.compile(r"^(APP_|PYTEST|VIRTUAL_ENV$|DATABASE_URL$|REDIS_URL$|QDRANT_URL$|PYTHONDONTWRITEBYTECODE$)")
    return {name: value for name, value in os.environ.items() if not unwanted.match(name)} | extra


def no_device(combination: str) -> dict[str, str]:
    """What lets a combination run on a machine without a GPU."""
    return {"APP_MODEL_SESSION__ALLOW_FALLBACK": "true"} if "gpu" in combination else {}


def sync(project: Path) -> None:
    """Install the project as it is now into its own environment."""
    command = ["uv", "sync", "--quiet", "--no-progress"]
    done = subprocess.run(command, cwd=project, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def uv_run(project: Path, *command: str, **extra: str) -> None:
    """Run a command in the project's environment; its output is the failure's message."""
    done = subprocess.run(
        ["uv", "run", "--no-sync", *command],
        cwd=project,
        env=clean_environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        told = "\n".join([f"{' '.join(command)} ended with {done.returncode}", *failed, done.stdout[-5000:]])
        pytest.fail(told, pytrace=False)


def run_own_tests(project: Path, *chosen: str) -> None:
    """Run the project's tests, or those that are chosen."""
    # Runs that share a folder for temporary files stumble over each other when they sweep it.
    with TemporaryDirectory() as folder:
        uv_run(project, "poe", "test", *chosen, PYTEST_DEBUG_TEMPROOT=folder)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stack:
    """`poe dev`, running."""

    runner: subprocess.Popen[bytes]
    url: str
    key: str
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates a request."""
        return {"Authorization": f"Bearer {self.key}"}

    def request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Send a request and return the decoded answer."""
        response = httpx2.request(method, self.url + path, headers=self.headers, timeout=60, **options)
        assert response.is_success, response.text
        return response.json()

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return the document's id."""
        accepted = self.request("POST", "/v1/documents", files={"file": (name, content)})
        document_id: str = accepted["document"]["id"]
        return document_id

    def documents(self) -> list[dict[str, Any]]:
        """All documents, newest first."""
        items: list[dict[str, Any]] = self.request("GET", "/v1/documents", params={"limit": 100})["items"]
        return items

    def states(self, document_ids: Collection[str]) -> list[str]:
        """The states of these documents; other tests of the same project may have left some of their own."""
        return [document["status"] for document in self.documents() if document["id"] in document_ids]

    def wait_until_indexed(self, document_ids: Collection[str]) -> None:
        """Wait until these documents are ready."""
        deadline = time.monotonic() + INDEXED_SECONDS
        while time.monotonic() < deadline:
            states = self.states(document_ids)
            assert len(states) == len(document_ids)
            assert "failed" not in states, self.documents()
            if all(state == "ready" for state in states):
                return
            time.sleep(0.3)
        raise AssertionError(f"not indexed in time: {states}\n{self.tail()}")

    def processes(self) -> list[psutil.Process]:
        """The runner and everything below it."""
        root = psutil.Process(self.runner.pid)
        return [root, *root.children(recursive=True)]

    def tail(self) -> str:
        """The end of what the runner printed."""
        return self.log.read_text(errors="replace")[-6000:]


@contextmanager
def running(project: Path, **extra: str) -> Iterator[Stack]:
    """Run `poe dev` while the block runs; at its end Ctrl-C is pressed, and no process may be left."""
    port = free_port()
    log = project / ".dev-output.log"
    with log.open("wb") as output:
        runner = subprocess.Popen(
            ["uv", "run", "--no-sync", "poe", "dev", "--port", str(port), "--no-reload"],
            cwd=project,
            env=clean_environment(**extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack = Stack(runner, f"http://127.0.0.1:{port}", "", log)
    try:
        _wait_until_ready(stack)
        stack.key = (project / ".dev" / "api-key").read_text().strip()
        yield stack
    finally:
        _stop(stack)
        log.unlink()


def _wait_until_ready(stack: Stack) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert stack.runner.poll() is None, f"poe dev ended with {stack.runner.returncode}\n{stack.tail()}"
        try:
            # The panel comes last, once everything runs.
            if httpx2.get(stack.url + "/health/ready", timeout=5).is_success and "/v1/answers" in stack.tail():
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not ready in time\n{stack.tail()}")


def _stop(stack: Stack) -> None:
    if stack.runner.poll() is not None:
        return
    processes = stack.processes()
    # A terminal sends Ctrl-C to the whole foreground group.
    os.killpg(stack.runner.pid, signal.SIGINT)
    try:
        stack.runner.wait(60)
    except subprocess.TimeoutExpired:
        stack.runner.kill()
    _, left = psutil.wait_procs(processes, timeout=10)
    for process in left:
        process.kill()
    assert not left, f"left behind: {left}\n{stack.tail()}"


def answer_stream(stack: Stack, question: str) -> list[tuple[str, Any]]:
    """Ask with streaming and return the events, each with its decoded data."""
    body: Mapping[str, object] = {"question": question, "stream": True}
    with httpx2.stream("POST", stack.url + "/v1/answers", json=body, headers=stack.headers, timeout=60) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        text = "".join(response.iter_text())
    return [_event(block) for block in text.split("\n\n") if block.strip() and not block.startswith(":")]


def _event(block: str) -> tuple[str, Any]:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    return fields["event"], json.loads(fields["data"])
