"""Run the complete service on its own socket, with the fake provider behind it."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import openai
import uvicorn
from pydantic import SecretStr

from app.adapters.language_model import LanguageModelSettings
from app.auth.caller import ACCOUNT_SCOPES
from app.bootstrap import Services
from app.main import create_app
from app.settings import Settings
from app.usage.models import UsageRecord
from tests.chat.fake_provider import FakeProvider
from tests.conftest import ROOT
from tests.usage.rows import read_rows

Provider = Literal["openai", "anthropic"]
PROVIDER_KEY = "sk-secret"  # the fake provider echoes it when it refuses
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")


@dataclass
class RunningService:
    """A running service: its URL, an API key for it, and its services."""

    url: str
    key: str
    services: Services

    def client(self, timeout: float = 60) -> openai.AsyncOpenAI:
        """Return OpenAI's own client, pointed at the service."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=timeout)

    async def usage(self) -> UsageRecord:
        """Wait for the only usage record and return it."""
        while not (rows := await read_rows(self.services.ports.database)):
            await asyncio.sleep(0.01)
        [row] = rows
        return row


def provider_settings(provider: FakeProvider, kind: Provider, model: str, **timeouts: float) -> LanguageModelSettings:
    """Return settings that make the fake provider the service's language model, with one attempt."""
    connection = connect(provider, kind)
    return LanguageModelSettings(provider=kind, model=model, attempts=1, **connection, **timeouts)


def connect(provider: FakeProvider, kind: Provider) -> dict[str, Any]:
    """Return the base URL and API key of the fake provider as settings."""
    return {
        "base_url": f"{provider.url}/v1" if kind == "openai" else provider.url,
        "api_key": SecretStr(PROVIDER_KEY),
    }


@asynccontextmanager
async def run_service(settings: Settings, language_model: LanguageModelSettings) -> AsyncIterator[RunningService]:
    """Run the service on a free port while the block runs."""
    app = create_app(settings.model_copy(update={"language_model": language_model}))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), "the service did not start"
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        services: Services = app.state.services
        await services.ports.vectors.prepare(services.ports.embedder.model)
        caller = await services.auth.ensure_account("ada@example.com")
        key = await services.auth.create_key("test", ACCOUNT_SCOPES, caller=caller)
        yield RunningService(f"http://{host}:{port}", key.secret, services)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def run_process(
    environment: Mapping[str, str], log: Path
) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run the service in a process that the test can kill, with its output in `log`; yield its URL and the process."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a server that the test kills
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", await asyncio.to_thread(log.read_text))):
            assert process.poll() is None, "the server ended before it was ready"
            await asyncio.sleep(0.1)
        yield found[0], process
    finally:
        process.kill()
        process.wait()
