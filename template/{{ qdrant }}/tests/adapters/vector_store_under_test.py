"""The vector store of this project for tests: Qdrant, with collections of the test's own."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient

from app.adapters.vector_store import VectorStoreSettings


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Settings for a server at this address, if there is one, that give up after a second."""
    return VectorStoreSettings(url=SecretStr(f"http://{host}:{port}"), timeout=1)


@pytest.fixture
async def vector_store_environment() -> AsyncIterator[dict[str, str]]:
    """The environment variables of an empty store of the test's own; its collections are dropped afterwards."""
    url, api_key = os.environ["APP_VECTOR_STORE__URL"], os.environ.get("APP_VECTOR_STORE__API_KEY")
    prefix = f"test-{uuid4().hex}"
    yield {"APP_VECTOR_STORE__COLLECTION_PREFIX": prefix}
    client = AsyncQdrantClient(url=url, api_key=api_key, check_compatibility=False)
    for collection in (await client.get_collections()).collections:
        if collection.name.startswith(f"{prefix}_"):
            await client.delete_collection(collection.name)
    await client.close()
