"""The vector store of this project for tests: pgvector in a database of the test's own."""

import pytest
from pydantic import SecretStr

from app.adapters.vector_store import VectorStoreSettings


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Settings for a server at this address, if there is one, that give up after a second."""
    return VectorStoreSettings(url=SecretStr(f"postgresql+asyncpg://app:app@{host}:{port}/app"), timeout=1)


@pytest.fixture
def vector_store_environment(database_url: str) -> dict[str, str]:
    """The environment variables of an empty store of the test's own."""
    return {"APP_VECTOR_STORE__URL": database_url}
