"""Valkey connections for tests: a server that is down, and one whose connection can be cut."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.adapters.valkey import ValkeySettings
from tests.gate import Gate, open_gate

VALKEY_URL = os.environ.get("APP_VALKEY__URL", "")


@contextmanager
def dead_valkey() -> Iterator[ValkeySettings]:
    """Return settings for a port that is bound, so that nobody else can use it, but does not accept connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield ValkeySettings(url=SecretStr(f"redis://127.0.0.1:{taken.getsockname()[1]}/0"))


@asynccontextmanager
async def gated_valkey() -> AsyncIterator[tuple[Gate, ValkeySettings]]:
    """Return a gate in front of the real server, and settings that connect through it."""
    where = urlsplit(VALKEY_URL)
    async with open_gate(where.hostname or "", where.port or 6379) as gate:
        yield gate, ValkeySettings(url=SecretStr(f"redis://127.0.0.1:{gate.port}/0"))
