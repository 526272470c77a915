"""The project's vector store for tests: pgvector in the test's own database."""

import pytest
from pydantic import SecretStr

from app.adapters.vector_store import VectorStoreSettings


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Return settings with a timeout of a second for a server at this address, if there is one."""
    return VectorStoreSettings(url=SecretStr(f"postgresql+asyncpg://app:app@{host}:{port}/app"), timeout=1)


@pytest.fixture
def vector_store_environment(database_url: str) -> dict[str, str]:
    """Return the environment variables of an empty store for the test."""
    return {"APP_VECTOR_STORE__URL": database_url}
