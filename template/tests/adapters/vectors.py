"""Vectors and queries for the tests of vector stores."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from app.documents.ports import PassageVector, VectorMatch, VectorQuery
from app.inference.manifest import EmbeddingModel

DIMENSION = 32
MODEL = EmbeddingModel(name="test-model", version="1", dimension=DIMENSION, max_tokens=8, folder=Path("unused"))
OTHER_MODEL = EmbeddingModel(name="test-model", version="2.0", dimension=48, max_tokens=8, folder=Path("unused"))
HALF_PRECISION = 0.005  # pgvector keeps 16-bit floats
OWNER, OTHER_OWNER = UUID(int=1), UUID(int=2)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same vectors in every run, not secrets


def direction(source: random.Random, dimension: int = DIMENSION) -> list[float]:
    """Return a random unit vector."""
    values = [source.gauss(0, 1) for _ in range(dimension)]
    length = math.hypot(*values)
    return [value / length for value in values]


def towards(cosine: float) -> list[float]:
    """Return a unit vector whose cosine with the first axis is the given one."""
    return [cosine, math.sqrt(1 - cosine**2), *[0.0] * (DIMENSION - 2)]


def vector_of(
    embedding: Sequence[float],
    *,
    passage_id: UUID | None = None,
    document_id: UUID | None = None,
    owner_id: UUID = OWNER,
    model: EmbeddingModel = MODEL,
) -> PassageVector:
    return PassageVector(passage_id or uuid4(), document_id or uuid4(), owner_id, model.identity, embedding)


def ask(
    embedding: Sequence[float] | None = None,
    *,
    owner_id: UUID = OWNER,
    model: EmbeddingModel = MODEL,
    limit: int = 10,
    document_ids: Sequence[UUID] | None = None,
) -> VectorQuery:
    return VectorQuery(owner_id, model.identity, embedding or towards(1.0), limit, document_ids)


def ids(matches: Sequence[VectorMatch]) -> list[UUID]:
    return [match.passage_id for match in matches]


def ids_of(vectors: Sequence[PassageVector]) -> list[UUID]:
    return [vector.passage_id for vector in vectors]
