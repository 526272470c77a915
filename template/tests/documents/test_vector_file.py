"""The file format of exported vectors."""

import pytest

from app.documents.ports import PassageVector
from app.documents.vector_file import header_line, read_vectors, trailer_line, vector_line
from app.errors import EmbeddingModelError, UnprocessableError
from tests.adapters.vectors import MODEL, OTHER_MODEL, direction, seeded, towards, vector_of

VECTORS = [vector_of(towards(0.1 * number)) for number in range(3)]
LINES = [header_line(MODEL), *map(vector_line, VECTORS), trailer_line(3)]


def test_what_was_written_is_read() -> None:
    found = list(read_vectors(LINES, MODEL))
    assert [(each.passage_id, each.document_id, each.owner_id, each.model) for each in found] == [
        (each.passage_id, each.document_id, each.owner_id, each.model) for each in VECTORS
    ]
    assert list(read_vectors([header_line(MODEL), trailer_line(0)], MODEL)) == []


def test_writing_what_was_read_gives_the_same_file() -> None:
    lines = [vector_line(vector_of(direction(seeded(number)))) for number in range(20)]
    found = read_vectors([header_line(MODEL), *lines, trailer_line(20)], MODEL)
    assert [vector_line(vector) for vector in found] == lines


@pytest.mark.parametrize("lines", [LINES[:3], [*LINES[:3], LINES[3][:100]]], ids=["after a line", "inside a line"])
def test_a_file_that_was_cut_off_is_recognised(lines: list[bytes]) -> None:
    found: list[PassageVector] = []
    with pytest.raises(UnprocessableError, match="cut off: it ends after 2 vectors"):
        found.extend(read_vectors(lines, MODEL))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param([], "not a file of `app vectors export`: line 1", id="empty"),
        pytest.param([b"id,vector\n"], "not a file of `app vectors export`: line 1", id="something else"),
        pytest.param([LINES[0].replace(b'"version":1', b'"version":2')], "version", id="a later format"),
        pytest.param([*LINES[:2], b"nonsense\n", *LINES[2:]], "Line 3 is not a vector", id="not JSON"),
        pytest.param([LINES[0], LINES[1].replace(b"passage_id", b"id")], "Line 2 .* passage_id", id="not a vector"),
        pytest.param([LINES[0], LINES[1].replace(b"[0.0", b"[NaN")], "Line 2", id="not a number"),
        pytest.param([LINES[0], LINES[1].replace(b"[0.0", b"[7.0")], "Line 2 .* length", id="not of unit length"),
        pytest.param([LINES[0], LINES[1].replace(b"[0.0", b"[0.0,0.0")], "Line 2 .* 33 dim", id="one number too many"),
        pytest.param(
            [LINES[0], LINES[1].replace(b"test-model@1", b"other@1")], "Line 2 .* other@1", id="another model's"
        ),
        pytest.param([*LINES[:2], *LINES[3:]], "should hold 3 vectors, but holds 2", id="a line is gone"),
        pytest.param([*LINES, LINES[1]], "more after the last line of the file, line 5", id="two files in one"),
    ],
)
def test_a_wrong_line_is_named(lines: list[bytes], message: str) -> None:
    with pytest.raises(UnprocessableError, match=message):
        list(read_vectors(lines, MODEL))


def test_the_vectors_of_another_model_are_refused_with_the_remedy() -> None:
    with pytest.raises(EmbeddingModelError, match=r"test-model@2\.0 \(48 dimensions\).*test-model@1 \(32\).*reindex"):
        read_vectors([header_line(OTHER_MODEL)], MODEL)
