"""Fixtures for tests against real servers, which `poe test` starts and announces in environment variables."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import fastapi.dependencies.models
import httpx2
import hypothesis
import pytest
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy.engine import URL, make_url

from app import event_stream
from app.auth.service import AuthService
from app.bootstrap import Ports, Services
from app.database import Database, DatabaseSettings, open_database
from app.errors import StartupError
from app.inference.capacity import available_cores
from app.main import create_app
from app.schema_upgrade import upgrade
from app.settings import Settings
from tests.databases import Databases, administer, rendered

pytest_plugins = ["tests.adapters.vector_store_under_test", "tests.chat.provider_fixtures", "tests.meters"]

# Whether a property holds must not depend on the machine's speed.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
TEMPLATE = f"template_{uuid4().hex[:8]}"
# More processes would only wait for the shared PostgreSQL.
MOST_PROCESSES = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use several processes for the complete suite; a selection runs faster in one, without starting others."""
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    return min(available_cores(), MOST_PROCESSES) if everything else 0


@pytest.fixture(scope="session")
def server_url() -> URL:
    """Return the address of the PostgreSQL server for tests."""
    url = os.environ.get("APP_DATABASE__URL")
    if not url:
        pytest.exit("The tests need real servers: run them with `uv run poe test`.", returncode=2)
    return make_url(url)


@pytest.fixture(scope="session")
def template_database(server_url: URL) -> Iterator[str]:
    """Create a migrated database, the template for each test's database."""
    asyncio.run(administer(server_url, f'CREATE DATABASE "{TEMPLATE}"'))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("APP_DATABASE__URL", rendered(server_url.set(database=TEMPLATE)))
        try:
            upgrade(alembic_config())
        except StartupError as error:
            pytest.exit(error.detail, returncode=1)
    yield TEMPLATE
    asyncio.run(administer(server_url, f'DROP DATABASE "{TEMPLATE}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def databases(server_url: URL, template_database: str) -> Iterator[Databases]:
    """Return the pool of databases that tests borrow from."""
    lent = Databases(server_url, template_database)
    yield lent
    asyncio.run(lent.drop(lent.free))


@pytest.fixture
async def database_url(server_url: URL, databases: Databases) -> AsyncIterator[str]:
    """Return the address of an empty, migrated database for one test."""
    name = await databases.take()
    yield rendered(server_url.set(database=name))
    await databases.give_back(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open a connection pool on the test's database."""
    async with open_database(DatabaseSettings.model_validate({"url": database_url})) as opened:
        yield opened


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch, database_url: str, vector_store_environment: dict[str, str], tmp_path: Path
) -> Settings:
    """Return settings with resources of the test's own, for this process and those that it starts."""
    monkeypatch.chdir(ROOT)
    # The outcome of a test must not depend on the machine's speed.
    monkeypatch.setenv("APP_BATCHING__MEASURE_SECONDS", "0")
    monkeypatch.setenv("APP_AUTH__REGISTRATION_OPEN", "true")
    monkeypatch.setenv("APP_DATABASE__URL", database_url)
    monkeypatch.setenv("APP_FILE_STORE__FOLDER", str(tmp_path / "files"))
    monkeypatch.setenv("APP_JOB_QUEUE__NAME", f"test-{uuid4().hex[:12]}")
    monkeypatch.setenv("APP_VALKEY__PREFIX", f"test-{uuid4().hex[:12]}")
    monkeypatch.setenv("APP_VALKEY__TIMEOUT", "30")
    monkeypatch.setattr(event_stream, "FIRST_BYTE_SECONDS", 30)
    for name, value in vector_store_environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture
async def account_id(settings: Settings, database: Database) -> UUID:
    """Return the id of an account that can own data."""
    return (await AuthService(database, settings.auth).ensure_account("owner@example.com")).id


@pytest.fixture
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    """Start the complete service on real ports."""
    app = create_app(settings)
    started, over = asyncio.Event(), asyncio.Event()

    # A lifespan must end in the task that started it, but a fixture's setup and teardown are separate tasks.
    async def live() -> None:
        async with app.router.lifespan_context(app):
            ports: Ports = app.state.services.ports
            await ports.vectors.prepare(ports.embedder.model)
            started.set()
            await over.wait()

    life = asyncio.create_task(live())
    ready = asyncio.create_task(started.wait())
    await asyncio.wait([life, ready], return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        ready.cancel()
        await life
    yield app
    over.set()
    await life


@pytest.fixture(autouse=True)
def clear_fastapi_caches() -> Iterator[None]:
    """Release the test's application: FastAPI's caches would keep thousands of them, each with its schema."""
    yield
    for cached in vars(fastapi.dependencies.models).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


@pytest.fixture
def services(application: FastAPI) -> Services:
    """Return the use cases of the started service."""
    started: Services = application.state.services
    return started


@pytest.fixture
async def client(application: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Return an HTTP client without credentials."""
    transport = httpx2.ASGITransport(application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as opened:
        yield opened


def alembic_config() -> Config:
    """Return Alembic's configuration, independent of the current directory."""
    return Config(str(ROOT / "alembic.ini"))
