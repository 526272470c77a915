"""The runbook of the services speaks of nothing that no combination of the template has."""

import ast
import re

from template_repository import ROOT

TEMPLATE = ROOT / "template"
RUNBOOK = (TEMPLATE / "docs/operations.md").read_text()
SYMPTOMS = [line.split(" | ")[0] for line in RUNBOOK.split("\n## Alerts\n")[0].split("\n") if line.startswith("| ")]
# What libraries log and say, and what is put together from parts.
ELSEWHERE = {
    "stamina.retry_scheduled",
    "Can't locate revision identified by",
    "There was an error parsing the body",
    "Transient error",
    "encountered while exporting spans batch",
    "validation error for Settings",
    "APP_MODELS__DEFAULT_CLASSIFIER names",
    "APP_MODELS__DEFAULT_RERANKER names",
    "APP_SEARCH__RERANKER names",
    "Liveness probe failed",
    "No detection model in",
    "No embedding model in",
    "No model in",
    "certificate verify failed",
    "is not the file that model.json declares: sha256",
    "timed out waiting for the condition",
}
# Whether a Valkey answers is logged by what is done with it.
STATE = re.compile(r"\.(un)?available$")


def said() -> set[str]:
    """Every text in the code of the base and of all overlays."""
    paths = [path for path in TEMPLATE.rglob("*.py") if "src" in path.relative_to(TEMPLATE).parts[:2]]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_event_of_the_runbook_is_logged_somewhere() -> None:
    events = {event for symptom in SYMPTOMS for event in re.findall(r"`([a-z_]+\.[a-z_]+)`", symptom)}
    assert len(events) > 50
    known = said()
    assert {each for each in events if not {each, STATE.sub("", each)} & known} <= ELSEWHERE


def test_every_message_of_the_runbook_is_in_the_code() -> None:
    messages = [message for symptom in SYMPTOMS for message in re.findall("“([^”]+)”", symptom)]
    parts = {part.strip(" .'") for message in messages for part in message.split("…")}
    assert len(parts) > 50
    known = said()
    assert {part for part in parts if not any(part in text for text in known)} <= ELSEWHERE
