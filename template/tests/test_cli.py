"""Tests of the operator's commands."""

import asyncio
from pathlib import Path

import pytest

from app import cli
from app.adapters.vector_store import open_vector_archive
from app.auth.caller import ACCOUNT_SCOPES, REVIEWER_SCOPES, Caller, Scope
from app.auth.service import AuthService
from app.database import open_database
from app.documents.models import DocumentStatus
from app.documents.ports import PassageVector
from app.inference.manifest import load_embedding_model
from app.settings import Settings
from tests.commands import EMAIL, index, run

ACCOUNT = ["--email", EMAIL]


async def authenticate(settings: Settings, key: str) -> Caller:
    async with open_database(settings.database) as database:
        return await AuthService(database, settings.auth).authenticate(key)


def test_create_key_prints_a_key_that_may_do_what_accounts_may(settings: Settings) -> None:
    key = run("create-key", *ACCOUNT)
    assert asyncio.run(authenticate(settings, key)).scopes == ACCOUNT_SCOPES
    assert run("create-key", *ACCOUNT) != key


@pytest.mark.parametrize(("role", "scopes"), [("reviewer", REVIEWER_SCOPES), ("operator", frozenset(Scope))])
def test_create_key_makes_reviewers_and_operators(settings: Settings, role: str, scopes: frozenset[Scope]) -> None:
    key = run("create-key", *ACCOUNT, "--role", role)
    assert asyncio.run(authenticate(settings, key)).scopes == scopes


async def register(settings: Settings) -> None:
    async with open_database(settings.database) as database:
        await AuthService(database, settings.auth).register(EMAIL, "correct horse battery")


def test_what_somebody_registered_is_given_nothing_unless_the_operator_says_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("migrate")
    asyncio.run(register(settings))
    (tmp_path / "a.txt").write_text("The warranty lasts 24 months.")
    for command in (["create-key", "--role", "operator"], ["ingest", str(tmp_path / "a.txt")]):
        monkeypatch.setattr("sys.argv", ["app", *command, *ACCOUNT])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        assert exit_.value.code == 1
        *_, line = capsys.readouterr().err.splitlines()  # onnxruntime may have printed first that there is no GPU
        assert line.startswith(f"The account of {EMAIL} has a password")
        assert line.endswith("give --existing.")
        assert run(*command, *ACCOUNT, "--existing")


async def read_vectors(settings: Settings) -> list[PassageVector]:
    async with open_vector_archive(settings.vector_store) as archive:
        return await archive.scan(load_embedding_model(settings.embedding.folder).identity, limit=1)


def test_migrating_again_is_harmless_and_makes_the_vector_store_ready(settings: Settings) -> None:
    run("migrate")
    run("migrate")
    # A store that is not prepared for the model would log that.
    assert asyncio.run(read_vectors(settings)) == []


def test_a_folder_is_ingested_without_what_cannot_be_read(settings: Settings, tmp_path: Path) -> None:
    run("migrate")
    folder = tmp_path / "documents"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.txt").write_text("The warranty lasts 24 months.")
    (folder / "deeper" / "b.md").write_text("# Returns\n\nReturns go to Leiden.")
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    (folder / ".hidden").write_text("not this")
    *printed, count = run("ingest", str(folder), *ACCOUNT).splitlines()
    assert [line.rpartition("/")[2] for line in printed] == ["a.txt", "b.md"]
    assert count == "2 new, 0 already there."
    documents = index(settings)
    assert {document.filename: document.status for document in documents} == {
        "a.txt": DocumentStatus.READY,
        "deeper/b.md": DocumentStatus.READY,
    }
    assert run("reindex") == "0 documents will be reindexed."
    assert run("reindex", "--all") == "2 documents will be reindexed."


def test_a_folder_that_is_ingested_again_adds_what_is_new(settings: Settings, tmp_path: Path) -> None:
    run("migrate")
    for folder in ("2025", "2026"):
        (tmp_path / "terms" / folder).mkdir(parents=True)
        (tmp_path / "terms" / folder / "warranty.txt").write_text("The warranty lasts 24 months.")
    assert run("ingest", str(tmp_path / "terms"), *ACCOUNT).endswith("2 new, 0 already there.")
    (tmp_path / "terms" / "2026" / "warranty.txt").write_text("The warranty lasts 36 months.")
    *printed, count = run("ingest", str(tmp_path / "terms"), *ACCOUNT).splitlines()
    assert ([line.rpartition("  ")[2] for line in printed], count) == (
        [str(tmp_path / "terms" / "2026" / "warranty.txt")],
        "1 new, 1 already there.",
    )
    names = sorted(document.filename for document in index(settings))
    assert names == ["2025/warranty.txt", "2026/warranty.txt", "2026/warranty.txt"]


@pytest.mark.usefixtures("settings")
def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("APP_EMBEDDING__FOLDER", "nowhere")
    monkeypatch.setattr("sys.argv", ["app", "reindex"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert "No embedding model in nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["migrate"], ["create-key", *ACCOUNT]], ids=["migrate", "create-key"])
def test_a_wrong_database_is_reported_in_one_line(
    command: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APP_DATABASE__URL", f"{settings.database.url.get_secret_value()}_misspelt")
    monkeypatch.setattr("sys.argv", ["app", *command])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith('_misspelt" does not exist')
