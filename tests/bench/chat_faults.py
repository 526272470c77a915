"""What callers get when a provider fails, run by `bench_chat.py faults` in the environment of an emitted service.

The service answers on a socket, with the provider of its own tests behind it, which fails on demand.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

sys.path.insert(0, str(Path.cwd()))
from app.adapters.language_model import LanguageModelSettings, ProviderSettings
from app.settings import Settings
from app.usage.settings import UsageSettings
from tests.chat.fake_provider import FakeProvider, serve_fake_provider
from tests.chat.service import RunningService, run_service
from tests.usage.rows import read_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.database import Database

PATIENCE = 1.0  # seconds for the first token, and for silence after it
LEAVES_AFTER = 0.5  # seconds from when the provider was called
FAULTS = {
    "answers well": "steady",
    "429": "status-429",
    "429, `Retry-After: 7`": "status-429-after-7",
    "500": "status-500",
    "500 once": "recovers",
    "529": "status-529",
    "401": "status-401",
    "connection refused": "refused",
    "accepts, then silence": "mute",
    "cut before the first token": "early-cuts",
    "malformed JSON before the first token": "early-garbled",
    "cut after two tokens": "cuts",
    "malformed JSON after two tokens": "garbled",
    "error event after two tokens": "breaks",
    "silence after two tokens": "stalls",
    "ends without a finish reason": "unfinished",
}
LEAVING = {"is left by the caller before the first token": "mute", "is left by the caller after two": "stalls"}


def language_model(url: str) -> LanguageModelSettings:
    """Give every fault a name that callers can ask for."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    waits: dict[str, Any] = {"first_token_timeout": PATIENCE, "idle_timeout": PATIENCE, "protocol": "openai"}
    providers = {
        "fake": ProviderSettings(base_url=f"{url}/v1", **waits),
        "gone": ProviderSettings(base_url=nobody, **waits),
    }
    aliases = {model: [f"fake:{model}"] for model in FAULTS.values()}
    aliases |= {"default": ["fake:steady"], "refused": ["gone:refused"]}
    return LanguageModelSettings(providers=providers, aliases=aliases)


async def ask(client: httpx2.AsyncClient, model: str, *, stream: bool) -> str:
    """Ask, read to the end, and say what came."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "How long is the warranty?"}]}
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if stream and response.status_code == 200:
            return await read_stream(response)
        await response.aread()
        if response.status_code == 200:
            return "200, the answer"
        wait = response.headers.get("retry-after")
        more = f", `Retry-After: {wait}`" if wait else ""
        return f"{response.status_code} `{response.json()['error']['code']}`{more}"


async def read_stream(response: httpx2.Response) -> str:
    """Say what a stream says."""
    text, end = "", "no end"
    async for line in response.aiter_lines():
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            end = "`[DONE]`"
        elif data.startswith("{"):
            event = json.loads(data)
            text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
            end = f"error `{event['error']['code']}`" if "error" in event else end
    return f"200, {len(text.split())} words, {end}"


async def recorded(database: Database, before: int) -> str:
    """Wait for the row of the last call and put it into words."""
    async with asyncio.timeout(10):
        while len(rows := await read_rows(database)) <= before:  # noqa: ASYNC110 - the database has no such event
            await asyncio.sleep(0.01)
    row = rows[-1]
    guessed = ", estimated" if row.estimated else ""
    tokens = f"{row.input_tokens} + {row.output_tokens} tokens{guessed}"
    return f"`{row.finish_reason}`, {tokens}, cost {row.cost.normalize():f}"


async def meet(service: RunningService, provider: FakeProvider, fault: str, *, stream: bool) -> str:
    """Meet one fault; gives a row of the table."""
    database = service.services.ports.database
    provider.calls.clear()
    provider.called.clear()
    provider.client_left.clear()
    before, headers = len(await read_rows(database)), {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
        begun = time.perf_counter()
        if fault in LEAVING:
            asking = asyncio.create_task(ask(client, LEAVING[fault], stream=stream))
            await asyncio.wait_for(provider.called.wait(), 10)
            await asyncio.sleep(LEAVES_AFTER)
            asking.cancel()
            begun = time.perf_counter()
            await asyncio.wait_for(provider.client_left.wait(), 10)
            said = "left; after that the provider was let go"
        else:
            said = await ask(client, FAULTS[fault], stream=stream)
        seconds = time.perf_counter() - begun
    form, metered = "stream" if stream else "whole", await recorded(database, before)
    return f"| {fault} | {form} | {said} | {seconds:.2f} s | {len(provider.calls)} | {metered} |"


async def write_table(write: Callable[[str], None]) -> None:
    """Meet every fault and write what came of it."""
    prices = {name: {"input": 1000, "output": 1000} for name in FAULTS.values()}
    settings = Settings().model_copy(update={"usage": UsageSettings.model_validate({"prices": prices})})
    write("| the provider | form | the caller got | after | calls | recorded |")
    write("| --- | --- | --- | ---: | ---: | --- |")
    async with serve_fake_provider() as provider, run_service(settings, language_model(provider.url)) as service:
        for fault in (*FAULTS, *LEAVING):
            for stream in (False, True):
                write(await meet(service, provider, fault, stream=stream))


def main() -> int:
    """Print the table; the service's own log is not kept."""
    subprocess.run([str(Path(sys.executable).with_name("app")), "migrate"], check=True, stdout=subprocess.DEVNULL)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        asyncio.run(write_table(lambda line: print(line, file=out, flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
