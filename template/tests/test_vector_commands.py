"""Tests of the operator's commands for vectors."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app import cli
from app.answers.retrieval import Passage
from app.bootstrap import build_services, open_ports
from app.settings import Settings
from tests.commands import EMAIL, attempt, do_jobs, index, run

TEXTS = {
    "warranty.txt": "The warranty lasts 24 months.",
    "returns.txt": "Returns go to Leiden within 30 days.",
    "cooking.txt": "Boil the potatoes for twenty minutes.",
}


@pytest.fixture
def indexed(settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings of a service with three indexed documents."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    run("migrate")
    run("ingest", str(folder), "--email", EMAIL)
    index(settings)
    return settings


@pytest.fixture
def exported(indexed: Settings, tmp_path: Path) -> Path:  # noqa: ARG001 - there must be something to export
    """Export the service's vectors and return the file."""
    file = tmp_path / "vectors.jsonl"
    run("vectors", "export", str(file))
    return file


def find(settings: Settings) -> list[Passage]:
    """Search the operator's documents."""

    async def search() -> list[Passage]:
        async with open_ports(settings) as ports:
            services = build_services(settings, ports)
            caller = await services.auth.ensure_account(EMAIL)
            return await services.retrieval.search("How long is the warranty?", caller=caller)

    return asyncio.run(search())


def forget(settings: Settings) -> None:
    """Empty the vector store."""
    identifiers = [document.id for document in index(settings)]

    async def delete() -> None:
        async with open_ports(settings) as ports:
            caller = await build_services(settings, ports).auth.ensure_account(EMAIL)
            for document_id in identifiers:
                await ports.vectors.delete_document(owner_id=caller.id, document_id=document_id)

    asyncio.run(delete())


def delete_one(settings: Settings) -> None:
    """Delete a document and its vectors."""
    victim = next(document for document in index(settings) if document.filename == "cooking.txt")

    async def delete() -> None:
        async with open_ports(settings) as ports:
            services = build_services(settings, ports)
            caller = await services.auth.ensure_account(EMAIL)
            await services.documents.delete(victim.id, caller=caller)
            await do_jobs(services)

    asyncio.run(delete())


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    """Run a command that exits with status 1 and return its error output."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["app", "vectors", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    return capsys.readouterr().err


def test_an_empty_store_that_is_given_the_file_finds_the_same(indexed: Settings, exported: Path) -> None:
    before = find(indexed)
    assert len(before) == len(TEXTS)
    forget(indexed)
    assert find(indexed) == []
    for _ in range(2):
        assert run("vectors", "import", str(exported)) == "3 vectors imported."
    assert find(indexed) == before


def test_what_was_imported_is_exported_to_the_last_bit(indexed: Settings, exported: Path, tmp_path: Path) -> None:
    forget(indexed)
    run("vectors", "import", str(exported))
    run("vectors", "export", str(tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_bytes() == exported.read_bytes()


def test_vectors_travel_through_a_pipe_with_nothing_else_in_it(indexed: Settings, exported: Path) -> None:
    sent = attempt("vectors", "export", "-")
    assert sent.exit_code == 0
    assert sent.stdout_bytes == exported.read_bytes()
    assert "3 vectors of" in sent.stderr
    forget(indexed)
    received = attempt("vectors", "import", "-", given=sent.stdout_bytes)
    assert (received.exit_code, received.stdout) == (0, "3 vectors imported.\n")


def test_the_file_names_the_model_and_counts_the_vectors(exported: Path) -> None:
    header, *vectors, trailer = map(json.loads, exported.read_bytes().splitlines())
    assert (header["format"], header["version"], trailer) == ("vectors", 1, {"count": len(TEXTS)})
    assert {vector["model"] for vector in vectors} == {header["model"]}
    assert {len(vector["embedding"]) for vector in vectors} == {header["dimension"]}
    assert vectors == sorted(vectors, key=lambda vector: vector["passage_id"])


def test_the_vectors_of_a_document_that_was_deleted_meanwhile_are_left_out(indexed: Settings, exported: Path) -> None:
    delete_one(indexed)
    forget(indexed)
    result = attempt("vectors", "import", str(exported))
    assert (result.exit_code, result.stdout) == (0, "2 vectors imported.\n")
    assert result.stderr.startswith("1 vector left out: ")
    assert {passage.filename for passage in find(indexed)} == set(TEXTS) - {"cooking.txt"}


def test_documents_that_wait_to_be_indexed_anew_are_left_to_their_jobs(indexed: Settings, exported: Path) -> None:
    run("reindex", "--all")
    result = attempt("vectors", "import", str(exported))
    assert (result.exit_code, result.stdout) == (0, "0 vectors imported.\n")
    index(indexed)
    assert len(find(indexed)) == len(TEXTS)


def test_passages_that_the_file_knows_nothing_of_are_counted(exported: Path) -> None:
    header, first, *_ = exported.read_bytes().splitlines(keepends=True)
    result = attempt("vectors", "import", "-", given=header + first + b'{"count":1}\n')
    assert (result.exit_code, result.stdout) == (0, "1 vector imported.\n")
    assert result.stderr.startswith("2 passages without a vector in the file: `app reindex --all`")


def test_exporting_from_a_store_that_was_never_filled_is_told(indexed: Settings, tmp_path: Path) -> None:
    forget(indexed)
    result = attempt("vectors", "export", str(tmp_path / "empty.jsonl"))
    assert "3 passages without a vector in this store" in result.stderr


def test_of_a_file_that_was_cut_off_all_is_stored_before_a_clear_message(
    indexed: Settings, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(indexed)
    exported.write_bytes(exported.read_bytes()[:-5])
    said = refusal(monkeypatch, capsys, ["import", str(exported)])
    assert said.startswith("The file was cut off: it ends after 3 vectors")
    assert said.splitlines()[1:] == []
    assert len(find(indexed)) == len(TEXTS)


def test_a_file_is_not_replaced_unasked(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = exported.read_bytes()
    exported.write_bytes(b"precious")
    assert "--force" in refusal(monkeypatch, capsys, ["export", str(exported)])
    assert exported.read_bytes() == b"precious"
    run("vectors", "export", str(exported), "--force")
    assert exported.read_bytes() == whole


@pytest.mark.usefixtures("indexed")
def test_a_file_that_cannot_be_written_or_read_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere" / "vectors.jsonl"
    said = refusal(monkeypatch, capsys, ["export", str(nowhere)])
    assert said == f"{nowhere} cannot be written: No such file or directory.\n"
    said = refusal(monkeypatch, capsys, ["import", str(nowhere)])
    assert said == f"{nowhere} cannot be read: No such file or directory.\n"


@pytest.mark.usefixtures("indexed")
def test_an_export_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "target"
    folder.mkdir()
    monkeypatch.setenv("APP_EMBEDDING__FOLDER", "nowhere")
    assert "No embedding model" in refusal(monkeypatch, capsys, ["export", str(folder / "vectors.jsonl")])
    assert list(folder.iterdir()) == []
