"""The vector store of this project for the contract suite: pgvector in a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from app.adapters.vector_store import VectorStoreSettings, open_vector_store
from app.documents.ports import VectorStore


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Settings for a server at this address, if there is one, that give up after a second."""
    return VectorStoreSettings(url=SecretStr(f"postgresql+asyncpg://app:app@{host}:{port}/app"), timeout=1)


@pytest.fixture
async def real_vector_store(database_url: str) -> AsyncIterator[VectorStore]:
    """The adapter on an empty store."""
    async with open_vector_store(VectorStoreSettings(url=SecretStr(database_url))) as store:
        yield store
