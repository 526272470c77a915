"""The seven rules that keep a template with options readable."""

import ast
import re
from pathlib import Path

import pytest

from template_repository import ROOT, options

TEMPLATE = ROOT / "template"
OVERLAYS = {choice: option for option, choices in options().items() for choice in choices}
# Paths that one overlay alone has, each with its reason.
LONE_PATHS = {
    "src/app/adapters/pgvector_index.py": "only PostgreSQL needs an index for each embedding model",
    "src/app/adapters/qdrant_points.py": "only Qdrant has points",
    "tests/adapters/test_pgvector_index.py": "only PostgreSQL shows its query plans",
    "tests/jobs/test_arq_entries.py": "only ARQ's queue can be asked what it holds",
    "src/app/adapters/device_buffers.py": "only GPUs record their work",
    "src/app/adapters/spread_session.py": "only GPUs come in numbers",
    "tests/adapters/test_device_buffers.py": "only GPUs record their work",
    "tests/adapters/test_spread_session.py": "only GPUs come in numbers",
    "tests/gpu/devices.py": "only GPUs may be missing",
    "src/app/patient_consumer.py": "only Celery stops all else while it waits for the broker",
    "tests/adapters/test_celery_broker.py": "only Celery has to be told to verify a certificate",
    "tests/gpu/test_device.py": "only GPUs need one to be tested",
    "tests/gpu/test_devices.py": "only GPUs may be missing",
    "devstack/qdrant_server.py": "stands in for a server that no package index carries",
    "devstack/qdrant_collections.py": "part of that server",
    "devstack/qdrant_engine.py": "part of that server",
    "devstack/qdrant_points.py": "part of that server",
    "tests/devstack/test_qdrant_server.py": "tests that server",
}


def overlay(choice: str) -> Path:
    return TEMPLATE / f"{{{{ {choice} }}}}"


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def emitted(choice: str) -> set[str]:
    return {name for name in files(overlay(choice)) if not name.startswith("_parts/")}


def siblings() -> list[tuple[str, str]]:
    return [(first, other) for first, *others in options().values() for other in others]


def test_every_choice_has_one_folder_and_every_folder_a_choice() -> None:
    folders = {path.name for path in TEMPLATE.iterdir() if path.is_dir() and "{{" in path.name}
    assert folders == {overlay(choice).name for choice in OVERLAYS}


def test_no_python_file_holds_jinja() -> None:
    assert list(TEMPLATE.rglob("*.py.jinja")) == []
    for path in TEMPLATE.rglob("*.py"):
        assert not re.search(r"\{\{|\{%|\{#", path.read_text()), path


def test_no_template_file_holds_an_if() -> None:
    for path in TEMPLATE.rglob("*"):
        if path.is_file() and (path.suffix == ".jinja" or "_parts" in path.parts):
            assert not re.search(r"\{%-?\s*(if|elif|else)\b", path.read_text()), path


def test_two_options_never_write_the_same_path_and_no_overlay_shadows_a_base_file() -> None:
    base = {name.removesuffix(".jinja") for name in files(TEMPLATE) if not name.startswith("{{ ")}
    for choice, option in OVERLAYS.items():
        assert not emitted(choice) & base, choice
        for other, other_option in OVERLAYS.items():
            if option != other_option:
                assert not emitted(choice) & emitted(other), (choice, other)


@pytest.mark.parametrize(("one", "other"), siblings())
def test_the_overlays_of_an_option_write_the_same_paths(one: str, other: str) -> None:
    assert (emitted(one) ^ emitted(other)) <= set(LONE_PATHS)


def test_every_lone_path_is_still_there() -> None:
    assert set(LONE_PATHS) <= set().union(*map(emitted, OVERLAYS))


@pytest.mark.parametrize(("one", "other"), siblings())
def test_sibling_adapters_open_alike(one: str, other: str) -> None:
    for name in sorted(emitted(one) & emitted(other)):
        if "/adapters/" in name and name.startswith("src/"):
            assert openers(overlay(one) / name) == openers(overlay(other) / name), name
            assert openers(overlay(one) / name), name


@pytest.mark.parametrize(("one", "other"), siblings())
def test_the_overlays_of_an_option_have_the_same_parts(one: str, other: str) -> None:
    assert files(overlay(one) / "_parts") == files(overlay(other) / "_parts")


def test_every_part_is_included_by_name() -> None:
    shared = "".join(path.read_text() for path in TEMPLATE.rglob("*.jinja"))
    for choice, option in OVERLAYS.items():
        for part in files(overlay(choice) / "_parts"):
            assert f"{{% include {option}_parts ~ '/{part}' %}}" in shared, (choice, part)


def test_names_are_legal_on_windows() -> None:
    for name in files(TEMPLATE):
        assert not re.search(r'[<>:"\\|?*]|[. ]$', name), name
        assert not re.search(r"(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)", name, re.IGNORECASE), name
    lowered = [name.lower() for name in files(TEMPLATE)]
    assert len(lowered) == len(set(lowered))


def openers(path: Path) -> dict[str, str]:
    """The public `open_…` functions of a module with their signatures."""
    return {
        node.name: ast.unparse(node.args) + " -> " + ast.unparse(node.returns or ast.Constant(None))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("open_")
    }
