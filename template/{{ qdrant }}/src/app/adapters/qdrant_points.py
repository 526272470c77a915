"""Conversion between vectors of passages and Qdrant's points, and filters for points."""

from typing import cast
from uuid import UUID

from qdrant_client.models import FieldCondition, Filter, MatchValue, PointStruct, Record

from app.documents.ports import PassageVector


def has(field: str, value: UUID) -> FieldCondition:
    """Return a condition for points whose payload has this value in this field."""
    return FieldCondition(key=field, match=MatchValue(value=str(value)))


def of_document(owner_id: UUID, document_id: UUID) -> Filter:
    """Return the filter for the points of a document."""
    return Filter(must=[has("owner_id", owner_id), has("document_id", document_id)])


def point_of(vector: PassageVector) -> PointStruct:
    """Convert a vector to a point, whose id is the passage's."""
    payload = {"owner_id": str(vector.owner_id), "document_id": str(vector.document_id), "model": vector.model}
    return PointStruct(id=str(vector.passage_id), vector=list(vector.embedding), payload=payload)


def vector_of(point: Record, model: str) -> PassageVector:
    """Convert a point, which was read with payload and vector, to a vector."""
    payload = point.payload or {}
    embedding = cast("list[float]", point.vector)
    return PassageVector(UUID(str(point.id)), UUID(payload["document_id"]), UUID(payload["owner_id"]), model, embedding)
