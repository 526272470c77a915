"""Tests of the OpenAPI document."""

import re
from typing import Any

import httpx2
import pytest

from app.open_inference_errors import is_open_inference_path
from app.openai_errors import is_openai_path


@pytest.fixture
async def document(client: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


async def test_every_operation_has_a_name_of_its_own_and_a_sentence(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(operation["description"].strip().endswith(".") for operation in operations(document))


async def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            content = operation["responses"]["default"]["content"]
            if is_open_inference_path(path):
                assert content["application/json"]["schema"]["$ref"].endswith("/OpenInferenceError"), path
            elif is_openai_path(path):
                assert content["application/json"]["schema"]["$ref"].endswith("/OpenAIError"), path
            else:
                assert "application/problem+json" in content, path


async def test_everything_but_the_doors_and_probes_asks_for_credentials(document: dict[str, Any]) -> None:
    open_to_all = {"register", "create_token", "refresh_token"}
    open_to_all |= {"live", "startup", "ready", "server_live", "server_ready"}
    assert {
        operation["operationId"] for operation in operations(document) if "security" not in operation
    } == open_to_all


async def test_the_documentation_page_needs_nothing_from_elsewhere(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) >= 2
    for part in parts:
        assert part.startswith("/"), part
        assert (await client.get(part)).status_code == 200, part
