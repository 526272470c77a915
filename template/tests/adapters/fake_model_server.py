"""A loopback server that offers `y = 2 x + 1` by the Open Inference Protocol and misbehaves on demand.

Its mood decides: `well` answers; `status-N` responds with HTTP status N; `mute` accepts and sends nothing; `drips`
sends a byte now and then; `cuts` breaks the connection within the answer; `truncated` sends fewer bytes than the tensor
has; `huge` announces 10 GB; `endless` never stops sending; `garbled` sends something that is not JSON; `wrong-shape`,
`wrong-type`, `wrong-name` and `wrong-version` answer for another model; `text` sends numbers instead of bytes; `nan`
answers NaN; `negative` and `loose` lie about sizes; `no-memory` refuses as another instance of this service does.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import numpy as np

LENGTH = "Inference-Header-Content-Length"
METADATA = {
    "name": "affine",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


@dataclass
class FakeModelServer:
    """A handle on the running server.

    Attributes:
        calls: method and path of each request.
        keys: the `Authorization` header of each request.
    """

    url: str = ""
    mood: str = "well"
    metadata: dict[str, Any] = field(default_factory=lambda: dict(METADATA))
    calls: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def inferences(self) -> int:
        """Count the requests that carried tensors."""
        return sum(call.startswith("POST") for call in self.calls)


@contextmanager
def serve_fake_model() -> Iterator[FakeModelServer]:
    """Run the server on a free port while the block runs."""
    fake = FakeModelServer()

    class Handler(_Handler):
        server_state = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's parameter name
        pass

    def do_GET(self) -> None:
        fake = self.server_state
        self._note()
        if fake.mood.startswith("status-"):
            self._send(int(fake.mood.removeprefix("status-")), b'{"error": "a reason"}')
        else:
            self._send(200, json.dumps(fake.metadata).encode())

    def do_POST(self) -> None:
        fake = self.server_state
        self._note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers[LENGTH])
        [shape] = [each["shape"] for each in json.loads(body[:length])["inputs"]]
        self._answer(fake.mood, 2 * np.frombuffer(body[length:], "<f4").reshape(shape) + 1)

    def _note(self) -> None:
        self.server_state.calls.append(f"{self.command} {self.path}")
        self.server_state.keys.append(self.headers["Authorization"])

    def _answer(self, mood: str, result: np.ndarray[Any, Any]) -> None:
        if mood.startswith("status-"):
            self._send(int(mood.removeprefix("status-")), b'{"error": "a reason"}', {"Retry-After": "7"})
            return
        if mood == "no-memory":
            self._send(503, b'{"error": "a reason"}', {"Retry-After": "7", "X-Error-Code": "out_of_memory"})
            return
        if mood == "mute":
            self.close_connection = True
            self.server_state.over.wait(60)
            return
        if mood in {"huge", "endless", "drips"}:
            self._send_slowly(mood)
            return
        head, tail = _message(mood, result)
        json_bytes = b"no json" if mood == "garbled" else json.dumps(head).encode()
        self._send(200, json_bytes + tail, {LENGTH: str(len(json_bytes))}, cut=3 if mood == "cuts" else 0)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: int = 0) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = bool(cut)

    def _send_slowly(self, mood: str) -> None:
        self.send_response(200)
        if mood == "huge":
            self.send_header("Content-Length", str(10**10))
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server_state.over.wait(0.05 if mood == "drips" else 0):
                self.wfile.write(b" " if mood == "drips" else b" " * 65536)
                self.wfile.flush()
        except OSError:  # the client has disconnected
            pass


def _message(mood: str, result: np.ndarray[Any, Any]) -> tuple[dict[str, Any], bytes]:
    result = result.astype("<f8" if mood == "wrong-type" else "<f4")
    if mood == "wrong-shape":
        result = result[:, :2]
    if mood == "nan":
        result = np.full_like(result, np.nan)
    tail = result.tobytes()
    output: dict[str, Any] = {
        "name": "z" if mood == "wrong-name" else "y",
        "datatype": "FP64" if mood == "wrong-type" else "FP32",
        "shape": list(result.shape),
        "parameters": {"binary_data_size": -1 if mood == "negative" else len(tail)},
    }
    if mood == "text":
        del output["parameters"]
        output["data"] = result.ravel().tolist()
        tail = b""
    version = "2" if mood == "wrong-version" else "1"
    head = {"model_name": "affine", "model_version": version, "outputs": [output]}
    return head, {"truncated": tail[:-4], "loose": tail + b"more"}.get(mood, tail)
