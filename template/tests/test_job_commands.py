"""Tests of the operator's commands for jobs."""

from pathlib import Path

from app.settings import Settings
from tests.commands import EMAIL, attempt, index, run


def test_draining_tells_what_is_left_and_when_it_is_over(settings: Settings, tmp_path: Path) -> None:
    run("migrate")
    assert run("jobs", "drain") == "No jobs are left to wait for."
    (tmp_path / "note.txt").write_text("The warranty lasts 24 months.")
    run("ingest", str(tmp_path / "note.txt"), "--email", EMAIL)
    looked = attempt("jobs", "drain", "--timeout", "0")
    assert (looked.exit_code, looked.stdout, looked.stderr) == (1, "", "1 job is left when the time was up.\n")
    waited = attempt("jobs", "drain", "--timeout", "0.1")
    assert (waited.exit_code, waited.stdout) == (1, "1 job is left.\n")
    index(settings)
    assert run("jobs", "drain", "--timeout", "0") == "No jobs are left to wait for."
