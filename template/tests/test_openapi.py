"""What the service says about itself."""

import re
from typing import Any

import httpx2
import pytest


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
    assert all(
        "application/problem+json" in operation["responses"]["default"]["content"] for operation in operations(document)
    )


async def test_everything_but_the_doors_and_probes_asks_for_credentials(document: dict[str, Any]) -> None:
    open_to_all = {"register", "create_token", "refresh_token", "live", "startup", "ready"}
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
