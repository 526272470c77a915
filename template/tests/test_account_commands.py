"""Tests of the operator's commands for accounts."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.settings import Settings
from tests.commands import EMAIL, attempt, index, run


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings under which processes check every request against the database."""
    monkeypatch.setenv("APP_AUTH__CACHE_SECONDS", "0")
    return settings


@pytest.fixture
def key(settings: Settings, tmp_path: Path) -> str:
    """Return a key of an account that has a document."""
    run("migrate")
    made = run("create-key", "--email", EMAIL, "--name", "import")
    (tmp_path / "a.txt").write_text("The warranty lasts 24 months.")
    run("ingest", str(tmp_path / "a.txt"), "--email", EMAIL)
    index(settings)
    return made


def stored(settings: Settings) -> list[Path]:
    return [path for path in settings.file_store.folder.rglob("*") if path.is_file()]


def test_an_account_is_shown_without_its_secrets(key: str) -> None:
    shown = run("account", "show", EMAIL.upper())
    assert shown.startswith(EMAIL)
    assert f"{key[:9]}  import  never expires  account answers" in shown
    assert "documents  1, 29 bytes" in shown
    assert "active     yes" in shown
    assert key not in shown


@pytest.mark.usefixtures("key")
def test_an_account_is_locked_and_unlocked() -> None:
    assert run("account", "lock", EMAIL) == f"{EMAIL} is locked."
    assert "active     no: it is locked" in run("account", "show", EMAIL)
    refused = attempt("create-key", "--email", EMAIL)
    assert "`app account unlock` opens it" in str(refused.exception)
    assert run("account", "unlock", EMAIL) == f"{EMAIL} is not locked any more."
    assert run("create-key", "--email", EMAIL)


def test_a_key_is_revoked(key: str) -> None:
    assert run("account", "revoke-key", EMAIL, key[:9]) == f"{key[:9]} (import) is revoked."
    assert "keys       0" in run("account", "show", EMAIL)


@pytest.mark.usefixtures("key")
def test_an_account_is_deleted_when_its_address_is_typed(settings: Settings) -> None:
    wrong = CliRunner().invoke(cli.app, ["account", "delete", EMAIL], input="yes\n")
    assert wrong.exit_code == 1
    assert "All of this goes" in wrong.stderr
    assert wrong.stderr.endswith("Nothing was deleted.\n")
    assert len(stored(settings)) == 1
    right = CliRunner().invoke(cli.app, ["account", "delete", EMAIL], input=f"{EMAIL}\n")
    assert right.exit_code == 0
    assert right.stdout.endswith(f"{EMAIL} is deleted.\n")
    assert stored(settings) == []


@pytest.mark.usefixtures("key")
def test_an_account_is_deleted_unasked_with_yes(settings: Settings) -> None:
    assert run("account", "delete", EMAIL, "--yes") == f"{EMAIL} is deleted."
    assert stored(settings) == []
    assert run("create-key", "--email", EMAIL)
    assert index(settings) == []


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    "command", [["show"], ["lock"], ["unlock"], ["revoke-key"], ["delete", "--yes"]], ids=lambda command: command[0]
)
def test_an_unknown_address_is_one_line(
    command: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = ["sk-abcdef"] if command[0] == "revoke-key" else []
    monkeypatch.setattr("sys.argv", ["app", "account", *command, "nobody@example.com", *prefix])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "No account has the address nobody@example.com.\n"
