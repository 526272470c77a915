"""Every combination: judged, tested, booted, used over HTTP."""

import subprocess
from pathlib import Path

from emitted.conftest import each_combination, where_every_choice_is_made
from emitted.knowledge import MANUAL, check_search
from emitted.pdf import make_pdf
from emitted.stack import Stack, answer_stream, clean_environment, no_device, run_own_tests, running, uv_run

REPORT = ["Annual report of the harbour.", "In 2025 the harbour handled 4,210 ships.", "The director is Mirjam Vos."]
TOUCHED = [
    *("test_*_commands.py", "test_cli.py", "test_migrations.py", "test_openapi.py", "test_retention.py"),
    *("test_settings.py", "test_structure.py"),
    *("devstack", "documents", "health", "jobs", "mcp", "answers/test_routes.py"),
    *(
        "adapters/test_job_queue.py",
        "adapters/test_vector_*.py",
        "adapters/test_*_index.py",
        "adapters/test_*_session.py",
    ),
]
# What schemathesis sends to each operation.
EXAMPLES = 20
# Of schemathesis; what it knows of methods that are not allowed does not fit FastAPI, so that check is left out.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


@each_combination("format")
def test_the_code_is_formatted(project: Path) -> None:
    uv_run(project, "ruff", "format", "--check", ".")


@each_combination("lint")
def test_the_linter_is_content(project: Path) -> None:
    uv_run(project, "ruff", "check", ".")


@each_combination("types")
def test_the_types_are_right(project: Path, types_cache: Path) -> None:
    uv_run(project, "mypy", "--cache-dir", str(types_cache))


@each_combination("imports")
def test_the_layers_hold(project: Path) -> None:
    uv_run(project, "lint-imports")


@each_combination("own tests")
def test_its_own_tests_pass(project: Path, *, wholly: bool) -> None:
    tests = project / "tests"
    touched = [] if wholly else [f"tests/{each.relative_to(tests)}" for name in TOUCHED for each in tests.glob(name)]
    run_own_tests(project, *touched)


@each_combination("migrations")
def test_its_migrations_go_up_down_and_up_and_match_the_code(project: Path) -> None:
    steps = "alembic upgrade head && alembic downgrade base && alembic upgrade head && alembic check"
    uv_run(project, "python", "-m", "devstack", "run", "--tests", "--", "sh", "-c", steps)


@each_combination("boot")
def test_it_boots_and_answers_from_documents(project: Path, combination: str) -> None:
    settings = no_device(combination)
    with running(project, **settings) as stack:
        manual = stack.upload("kettle.md", MANUAL.encode())
        report = stack.upload("harbour.pdf", make_pdf(REPORT))
        stack.wait_until_indexed([manual, report])
        check_search(stack)
        _check_answer(stack, manual)
        _check_page(stack, report)
    # What was indexed before is there after a restart.
    with running(project, **settings) as stack:
        check_search(stack)


@where_every_choice_is_made
@each_combination("hostile")
def test_generated_requests_find_no_server_error_and_no_answer_beside_the_contract(
    project: Path, combination: str
) -> None:
    with running(project, **no_device(combination)) as stack:
        command = ["schemathesis", "run", f"{stack.url}/openapi.json", "--no-color", "--max-examples", str(EXAMPLES)]
        given = ["--header", f"Authorization: Bearer {stack.key}", "--checks", ",".join(CHECKS)]
        done = subprocess.run([*command, *given], cwd=project, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-8000:]
        assert stack.request("GET", "/health/ready")["status"] == "ready"


@each_combination("no GPU: refuses", only="gpu")
def test_it_refuses_to_start_without_a_device(project: Path) -> None:
    done = subprocess.run(
        ["uv", "run", "--no-sync", "poe", "dev", "--no-reload"],
        cwd=project,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 1
    assert "no usable CUDA device" in done.stdout + done.stderr
    assert "APP_MODEL_SESSION__ALLOW_FALLBACK=true" in done.stdout + done.stderr


def _check_answer(stack: Stack, document_id: str) -> None:
    events = answer_stream(stack, "How long is the warranty of the kettle?")
    names = [name for name, _ in events]
    assert names[0] == "passages"
    assert names.count("token") > 1
    assert names[-1] == "done"
    done = events[-1][1]
    tokens = "".join(data["text"] for name, data in events if name == "token")
    assert tokens == done["answer"]
    assert "24 months" in done["answer"]
    citation = done["citations"][0]
    assert citation["document_id"] == document_id
    assert MANUAL[citation["start"] : citation["end"]] == citation["quote"]
    assert f"[{citation['marker']}]" in done["answer"]


def _check_page(stack: Stack, document_id: str) -> None:
    done = stack.request("POST", "/v1/answers", json={"question": "How many ships did the harbour handle?"})
    citation = done["citations"][0]
    assert (citation["document_id"], citation["page"]) == (document_id, 2)
    assert "4,210 ships" in citation["quote"]
