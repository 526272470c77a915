"""The vector store of this project for the contract suite: Qdrant, with collections of the test's own."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient

from app.adapters.vector_store import VectorStoreSettings, open_vector_store
from app.documents.ports import VectorStore


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Settings for a server at this address, if there is one, that give up after a second."""
    return VectorStoreSettings(url=SecretStr(f"http://{host}:{port}"), timeout=1)


@pytest.fixture
async def real_vector_store() -> AsyncIterator[VectorStore]:
    """The adapter on an empty store; its collections are dropped afterwards."""
    url = os.environ["APP_VECTOR_STORE__URL"]
    api_key = os.environ.get("APP_VECTOR_STORE__API_KEY")
    prefix = f"test-{uuid4().hex}"
    settings = VectorStoreSettings(
        url=SecretStr(url), api_key=SecretStr(api_key) if api_key else None, collection_prefix=prefix
    )
    async with open_vector_store(settings) as store:
        yield store
    client = AsyncQdrantClient(url=url, api_key=api_key, check_compatibility=False)
    for collection in (await client.get_collections()).collections:
        if collection.name.startswith(f"{prefix}_"):
            await client.delete_collection(collection.name)
    await client.close()
