"""Text that a careful person would have typed, in every combination."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from template_repository import combinations, name_of

MARKERS = re.compile(r"\{\{|\{%|\{#")
# Helm's templates have markers of their own, which the services keep; tests/test_chart.py has Helm read them.
CHART = "deploy/helm/templates"


def text_files(project: Path) -> list[Path]:
    found = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]
    return [path for path in found if path.suffix != ".onnx" and path.name != "tokenizer.json"]


@pytest.fixture(params=[name_of(combination) for combination in combinations()])
def project(request: pytest.FixtureRequest, projects: dict[str, Path]) -> Path:
    return projects[request.param]


def test_lines_end_cleanly_and_files_end_with_one_line_break(project: Path) -> None:
    for path in text_files(project):
        content = path.read_bytes()
        assert b"\r" not in content, path
        assert b"\t" not in content, path
        assert not re.search(rb"[ ]+\n", content), path
        assert content == b"" or (content.endswith(b"\n") and not content.endswith(b"\n\n")), path
        assert b"\n\n\n\n" not in content, path


def test_no_template_marker_is_left(project: Path) -> None:
    for path in text_files(project):
        assert project / CHART in path.parents or not MARKERS.search(path.read_text()), path


def test_git_ignores_files_with_secrets_and_nothing_that_is_emitted(project: Path, tmp_path: Path) -> None:
    secrets = [".env", "production.env"]
    emitted = [path.relative_to(project).as_posix() for path in text_files(project)]
    shutil.copy(project / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    asking = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin"]
    asked = "\n".join(emitted + secrets)
    answer = subprocess.run(asking, cwd=tmp_path, input=asked, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == secrets


def test_every_configuration_file_can_be_read(project: Path) -> None:
    for path in [*project.rglob("*.yaml"), *project.rglob("*.yml")]:
        assert project / CHART in path.parents or yaml.safe_load(path.read_text()), path
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] == "myservice"


def test_compose_starts_what_the_combination_needs(project: Path) -> None:
    compose = yaml.safe_load((project / "compose.yaml").read_text())
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert {"api", "worker", "migrate", "postgres", "valkey"} <= set(compose["services"])
    assert ("qdrant" in compose["services"]) == (answers["vector_store"] == "qdrant")
    assert ("deploy" in compose["services"]["worker"]) == (answers["inference"] == "gpu")
    settings = set(compose["services"]["api"]["environment"])
    documented = re.findall(r"^(?:# )?(APP_\w+)=", (project / ".env.example").read_text(), re.MULTILINE)
    assert settings <= set(documented)
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        named = {mount.partition(":")[0] for mount in service.get("volumes", [])}
        assert named <= set(compose["volumes"])


def test_python_stays_small(project: Path) -> None:
    # The tree of all errors is to be seen whole.
    for path in set(project.rglob("*.py")) - {project / "src/app/errors.py"}:
        assert len(path.read_text().splitlines()) <= 250, path
