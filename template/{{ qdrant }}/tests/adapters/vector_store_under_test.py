"""The project's vector store for tests: Qdrant with the test's own collections."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient

from app.adapters.vector_store import VectorStoreSettings


def settings_for(host: str, port: int) -> VectorStoreSettings:
    """Return settings with a timeout of a second for a server at this address, if there is one."""
    return VectorStoreSettings(url=SecretStr(f"http://{host}:{port}"), timeout=1)


@pytest.fixture
async def vector_store_environment() -> AsyncIterator[dict[str, str]]:
    """Return the environment variables of an empty store for the test and drop its collections at the end."""
    url, api_key = os.environ["APP_VECTOR_STORE__URL"], os.environ.get("APP_VECTOR_STORE__API_KEY")
    prefix = f"test-{uuid4().hex}"
    yield {"APP_VECTOR_STORE__COLLECTION_PREFIX": prefix}
    client = AsyncQdrantClient(url=url, api_key=api_key, check_compatibility=False)
    for collection in (await client.get_collections()).collections:
        if collection.name.startswith(f"{prefix}_"):
            await client.delete_collection(collection.name)
    await client.close()
