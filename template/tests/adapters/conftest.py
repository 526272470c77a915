"""The vector stores under test: the fake one and the real one."""

from collections.abc import AsyncIterator

import pytest

from app.adapters.vector_store import open_vector_store
from app.documents.ports import VectorStore
from app.settings import Settings
from tests.documents.fakes import FakeVectorStore


@pytest.fixture
def fake_vector_store() -> VectorStore:
    return FakeVectorStore()


@pytest.fixture
async def real_vector_store(settings: Settings) -> AsyncIterator[VectorStore]:
    async with open_vector_store(settings.vector_store) as store:
        yield store


@pytest.fixture(params=["fake_vector_store", "real_vector_store"])
def store(request: pytest.FixtureRequest) -> VectorStore:
    """Run each contract test with both stores."""
    chosen: VectorStore = request.getfixturevalue(request.param)
    return chosen
