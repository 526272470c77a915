"""A model hub on loopback that serves one file with configurable faults."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Hub:
    """The hub's content, its faults, and the requests it received.

    Attributes:
        content: of the file, whatever its path.
        ranges: whether it supports range requests.
        shift: how many bytes too late its ranges begin.
        cuts: how many bytes each of the next answers sends before the connection breaks.
        status: the status to answer with instead of the file.
        elsewhere: the URL to redirect to.
        asked: path, `Range` and `Authorization` of each request.
    """

    content: bytes = b""
    ranges: bool = True
    shift: int = 0
    cuts: list[int] = field(default_factory=list)
    status: int | None = None
    elsewhere: str | None = None
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    endpoint: str = ""

    @property
    def starts(self) -> list[str | None]:
        """Return the `Range` header of each request."""
        return [each[1] for each in self.asked]


@contextmanager
def open_hub(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers as the hub is configured."""

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            hub.asked.append((self.path, wanted, self.headers["Authorization"]))
            if hub.elsewhere or hub.status:
                self.send_response(302 if hub.elsewhere else hub.status or 500)
                self.send_header("Location", hub.elsewhere or "")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = self._start(wanted)
            if start is not None:
                self.wfile.write(hub.content[start:][: hub.cuts.pop(0) if hub.cuts else None])
            self.close_connection = True

        def _start(self, wanted: str | None) -> int | None:
            start = int(re.findall(r"bytes=(\d+)-", wanted)[0]) + hub.shift if wanted and hub.ranges else 0
            if start and start >= len(hub.content):
                self.send_error(416)
                return None
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
            self.send_header("Content-Length", str(len(hub.content) - start))
            self.end_headers()
            return start

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
