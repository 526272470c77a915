"""Tests that the documentation matches the code and that its links work."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import AppError, CallerError, UpstreamError

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "app"
ARCHITECTURE, OPERATIONS = (ROOT / "docs" / name for name in ("architecture.md", "operations.md"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Levels that an operator watches.
LEVELS = {"warning", "error", "exception", "critical"}


def tables(document: Path) -> Iterator[list[str]]:
    """Yield the first cells of each table, without the header."""
    for found in re.findall(r"(?:^\|.*\n)+", document.read_text(encoding="utf-8"), re.MULTILINE):
        yield [line.split(" | ")[0].removeprefix("| ") for line in found.splitlines()[2:]]


def symptoms() -> list[list[str]]:
    """Return the symptoms of each table in the runbook."""
    text = OPERATIONS.read_text(encoding="utf-8")
    count = text[text.index("\n## Symptoms\n") : text.index("\n## Alerts\n")].count("\n| symptom | ")
    return list(tables(OPERATIONS))[:count]


def events(tree: ast.AST) -> Iterator[str]:
    """Yield the events logged at these levels; Valkey scripts also log an outage."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("log"), attr=level), args=[ast.Constant(value=str(event)), *_]
            ) if level in LEVELS:
                yield event
            case ast.Call(func=ast.Name("ValkeyScripts"), args=[_, ast.Constant(value=str(role)), *_]):
                yield f"{role}.unavailable"


def codes(error: type[AppError]) -> Iterator[str]:
    for each in error.__subclasses__():
        yield each.code
        yield from codes(each)


def place(symptom: str) -> list[str]:
    """Return the sort key of a symptom: its words without markup."""
    return re.sub(r"<[^>]*>|[`“”…]", "", symptom).lower().split()


def anchors(document: Path) -> set[str]:
    """Return the valid link targets in a document: GitHub's anchors of its headings, and explicit ones."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headlines = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", headline.lower()).replace(" ", "-") for headline in headlines}
    return named | set(re.findall(r'<a id="([^"]+)"></a>', text))


def test_the_runbook_has_every_event_that_an_operator_looks_at() -> None:
    """The runbook may list more events: those of variants that this project does not use."""
    logged = {event for path in SRC.rglob("*.py") for event in events(ast.parse(path.read_text(encoding="utf-8")))}
    told = " ".join(symptom for table in symptoms() for symptom in table)
    assert {event for event in logged if f"`{event}`" not in told} == set()


def test_the_runbook_has_every_code_that_callers_are_told() -> None:
    told = " ".join(symptom for table in symptoms() for symptom in table)
    known = {"bad_request", "invalid_payload", "internal_error", *codes(CallerError), *codes(UpstreamError)}
    named = set(re.findall(r"`(?:\d+ )?(\w+)`", told))
    assert known <= named


def test_symptoms_are_sorted() -> None:
    for table in symptoms():
        assert table == sorted(table, key=place)


def test_the_architecture_names_modules_that_are_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", ARCHITECTURE.read_text(encoding="utf-8")))
    modules = [path.as_posix() for folder in (SRC, ROOT / "tests") for path in folder.rglob("*.py")]
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in modules)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path), target
    for name in re.findall(r"`(docs/[\w-]+\.md)`", text):
        assert (ROOT / name).is_file(), name
