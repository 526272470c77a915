"""Every Python that the template offers, where this machine has it: the default combination passes its own tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Render
from emitted.stack import clean_environment, run_own_tests
from template_repository import questions

QUESTION = questions()["python_version"]
OTHERS = [version for version in QUESTION["choices"] if version != QUESTION["default"]]


@pytest.mark.parametrize("version", OTHERS)
def test_its_own_tests_pass_on_other_pythons(render: Render, tmp_path: Path, version: str) -> None:
    found = subprocess.run(
        ["uv", "python", "find", "--no-python-downloads", version], capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        pytest.skip(f"this machine has no Python {version}")
    project = tmp_path / "my service"
    shutil.copytree(render({"python_version": version}), project)
    command = ["uv", "sync", "--quiet", "--python", found.stdout.strip()]
    subprocess.run(command, cwd=project, env=clean_environment(), check=True)
    run_own_tests(project)
