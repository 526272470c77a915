"""What compose.yaml and the image say of the processes that they run."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from template_repository import combinations, name_of


@pytest.fixture(params=[combinations()[0], combinations()[-1]], ids=name_of)
def project(request: pytest.FixtureRequest, render: Callable[[Mapping[str, str]], Path]) -> Path:
    return render(request.param)


def test_servers_come_back_when_their_machine_does(project: Path) -> None:
    services: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    wanted = {name: "no" if name == "migrate" else "unless-stopped" for name in services}
    assert {name: service.get("restart") for name, service in services.items()} == wanted


def test_idle_connections_outlive_those_that_proxies_reuse(project: Path) -> None:
    [seconds] = re.findall(r"UVICORN_TIMEOUT_KEEP_ALIVE=(\d+)", (project / "Dockerfile").read_text())
    assert int(seconds) > 60
