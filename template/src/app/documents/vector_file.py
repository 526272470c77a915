"""The file format for moving vectors from one vector store to another.

JSON Lines: a header with the embedding model, one line per vector, and a last line with their number, by which a
truncated file is recognised. Numbers are 32-bit floats at full precision, so a round trip is exact.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.documents.ports import PassageVector
from app.errors import EmbeddingModelError, UnprocessableError
from app.inference.manifest import EmbeddingModel

LENGTH_TOLERANCE = 0.01  # 16-bit floats stay well within
IMPORT_AGAIN = "The vectors before it are imported; importing the complete file again is safe."


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Header(_Entry):
    format: Literal["vectors"] = "vectors"
    version: Literal[1] = 1
    model: str
    dimension: int


class _Vector(_Entry):
    passage_id: UUID
    document_id: UUID
    owner_id: UUID
    model: str
    embedding: list[float]


class _Trailer(_Entry):
    count: Annotated[int, Field(ge=0)]


def header_line(model: EmbeddingModel) -> bytes:
    """Return the first line of a file."""
    return _line(_Header(model=model.identity, dimension=model.dimension))


def vector_line(vector: PassageVector) -> bytes:
    """Return the line of a vector."""
    return _line(
        _Vector(
            passage_id=vector.passage_id,
            document_id=vector.document_id,
            owner_id=vector.owner_id,
            model=vector.model,
            embedding=np.asarray(vector.embedding, dtype=np.float32).tolist(),
        )
    )


def trailer_line(count: int) -> bytes:
    """Return the last line of a file."""
    return _line(_Trailer(count=count))


def read_vectors(lines: Iterable[bytes], model: EmbeddingModel) -> Iterator[PassageVector]:
    """Check the header at once, then yield the vectors lazily.

    Raises:
        EmbeddingModelError: the vectors come from another model.
        UnprocessableError: a line is invalid or missing; raised during iteration, after the vectors before it.
    """
    numbered = enumerate(lines, start=1)
    _, first = next(numbered, (1, b""))
    try:
        header = _Header.model_validate_json(first)
    except ValidationError as error:
        raise UnprocessableError(f"This is not a file of `app vectors export`: line 1: {_reason(error)}.") from None
    if (header.model, header.dimension) != (model.identity, model.dimension):
        raise EmbeddingModelError(
            f"The vectors come from {header.model} ({header.dimension} dimensions), but this service runs "
            f"{model.identity} ({model.dimension}). Set APP_EMBEDDING__FOLDER to the model that they come from, "
            "or reindex the documents: `app reindex --all`."
        )
    return _read(numbered, model)


def _read(numbered: Iterator[tuple[int, bytes]], model: EmbeddingModel) -> Iterator[PassageVector]:
    count = 0
    for number, line in numbered:
        entry = _parse(number, line)
        if isinstance(entry, _Trailer):
            if entry.count != count:
                raise UnprocessableError(
                    f"The file should hold {entry.count} vectors, but holds {count}. {IMPORT_AGAIN}"
                )
            if next(numbered, None) is not None:
                raise UnprocessableError(
                    f"There is more after the last line of the file, line {number}. {IMPORT_AGAIN}"
                )
            return
        _check(number, entry, model)
        yield PassageVector(entry.passage_id, entry.document_id, entry.owner_id, entry.model, entry.embedding)
        count += 1
    raise _cut_off(count)


def _parse(number: int, line: bytes) -> _Vector | _Trailer:
    try:
        return _Vector.model_validate_json(line)
    except ValidationError as error:
        wrong = error
    try:
        return _Trailer.model_validate_json(line)
    except ValidationError:
        if not line.endswith(b"\n"):
            raise _cut_off(number - 2) from None
        raise UnprocessableError(f"Line {number} is not a vector: {_reason(wrong)}. {IMPORT_AGAIN}") from None


def _check(number: int, entry: _Vector, model: EmbeddingModel) -> None:
    """Raise UnprocessableError if the vector cannot come from the model."""
    length = math.hypot(*entry.embedding)
    if entry.model != model.identity:
        wrong = f"it comes from {entry.model}"
    elif len(entry.embedding) != model.dimension:
        wrong = f"it has {len(entry.embedding)} dimensions instead of {model.dimension}"
    elif abs(length - 1) > LENGTH_TOLERANCE:
        wrong = f"its length is {length:.3g} instead of 1"
    else:
        return
    raise UnprocessableError(f"Line {number} is not a vector of {model.identity}: {wrong}. {IMPORT_AGAIN}")


def _cut_off(count: int) -> UnprocessableError:
    return UnprocessableError(
        f"The file was cut off: it ends after {count} vectors, without its last line. {IMPORT_AGAIN}"
    )


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _line(entry: _Entry) -> bytes:
    return entry.model_dump_json().encode() + b"\n"
