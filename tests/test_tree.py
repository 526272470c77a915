"""What a project is made of: one golden list for every combination."""

import hashlib
import subprocess
import sys
from pathlib import Path

from template_repository import RELEASE, combinations
from test_rules import LONE_PATHS

GOLDEN = Path(__file__).parent / "golden" / "tree.txt"


def tree(project: Path) -> set[str]:
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def test_every_combination_has_the_golden_tree(projects: dict[str, Path]) -> None:
    golden = set(GOLDEN.read_text().split("\n")) - {""}
    assert len(projects) == len(combinations())
    for name, project in projects.items():
        assert tree(project) - set(LONE_PATHS) == golden, f"{name}: see tests/golden/tree.txt"


def test_the_assembly_is_the_same_file_in_every_combination(projects: dict[str, Path]) -> None:
    sums = {
        hashlib.sha256((project / "src/app/bootstrap.py").read_bytes()).hexdigest() for project in projects.values()
    }
    assert len(sums) == 1


def test_plain_copier_gives_the_tree_that_the_command_line_gives(template_repository: Path, tmp_path: Path) -> None:
    for tool, command in {
        "copier": ["copier", "copy", "--defaults", "--data", "project_name=myservice", "--vcs-ref", RELEASE],
        "aiapi": ["aiapi", "new", "--defaults", "--no-lock", "--template"],
    }.items():
        target = ["myservice", "--into", str(tmp_path / tool)] if tool == "aiapi" else [str(tmp_path / tool)]
        executable = str(Path(sys.executable).parent / command[0])
        subprocess.run([executable, *command[1:], str(template_repository), *target], check=True, cwd=tmp_path)
    made = {tool: contents(tmp_path / tool) for tool in ("copier", "aiapi")}
    assert made["copier"] == made["aiapi"]


def contents(project: Path) -> dict[str, bytes]:
    return {name: (project / name).read_bytes() for name in tree(project) if not name.startswith(".git/")}
