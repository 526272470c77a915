"""Readers for the chat benchmark: streams that begin together, read as cheaply as one can, and judged afterwards."""

import asyncio
import json
import time
from dataclasses import dataclass, field

from chat_servers import TEXTS, TOKENS

FIRST = TEXTS[0].encode()
PATIENCE = 120.0


@dataclass(frozen=True)
class Target:
    """Where to ask, and how.

    Attributes:
        pid: of the process that answers.
        models: what to ask for: without pauses, and with.
    """

    name: str
    port: int
    path: str
    pid: int
    models: tuple[str, str]
    key: str = "none"

    def request(self, *, paced: bool) -> bytes:
        """Write the request."""
        content = {"role": "user", "content": "Count to two hundred."}
        body = json.dumps({"model": self.models[paced], "stream": True, "messages": [content]}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Read:
    """What came of streams that began together.

    Attributes:
        seconds: from the first request to the end of the last answer.
        firsts: seconds until the first token of each stream.
        errors: streams that did not end with `[DONE]`.
        lost: tokens that did not come, or not in their place.
    """

    seconds: float = 0
    firsts: list[float] = field(default_factory=list)
    errors: int = 0
    lost: int = 0
    arrived: int = 0


async def read_streams(target: Target, streams: int, *, paced: bool) -> Read:
    """Read so many streams at once."""
    pipes = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(streams)]
    request, result = target.request(paced=paced), Read()
    begun = time.perf_counter()
    answers = await asyncio.gather(*(_read(*pipe, request, result, begun) for pipe in pipes))
    result.seconds = time.perf_counter() - begun
    for answer in answers:
        _judge(answer, result)
    return result


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, result: Read, begun: float
) -> bytes:
    """Read until the end of a chunked body, or of the connection."""
    writer.write(request)
    answer, seen = bytearray(), False
    try:
        async with asyncio.timeout(PATIENCE):
            while data := await reader.read(65_536):
                answer += data
                if not seen and FIRST in answer:
                    seen = True
                    result.firsts.append(time.perf_counter() - begun)
                if answer.endswith(b"\r\n0\r\n\r\n"):
                    break
    except (OSError, TimeoutError):
        pass  # what is missing is counted
    writer.close()
    return bytes(answer)


def _judge(answer: bytes, result: Read) -> None:
    """Count what came, chunk by chunk of the body."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = bytearray()
    while rest and head.startswith(b"HTTP/1.1 200"):
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    text, done = "", False
    for line in bytes(body).split(b"\n"):
        if line.startswith(b"data: {") and (choices := json.loads(line[6:]).get("choices")):
            text += choices[0]["delta"].get("content") or ""
        done = done or line.rstrip() == b"data: [DONE]"
    got = text.split()
    right = sum(said == meant.strip() for said, meant in zip(got, TEXTS, strict=False))
    result.arrived += right
    result.lost += TOKENS - right
    result.errors += not (done and len(got) == TOKENS)
