"""Bodies that are too large."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.bootstrap import Services
from app.main import JSON_BYTES
from tests.http import join


async def drip(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 100_000):
        yield b"x" * 100_000


@pytest.mark.parametrize(
    "content", [b"x" * (JSON_BYTES + 1), drip(JSON_BYTES + 100_000)], ids=["announced", "dripping"]
)
async def test_a_body_that_is_too_large_is_a_problem_with_the_limit_in_it(
    client: httpx2.AsyncClient, content: bytes | AsyncIterator[bytes]
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/auth/refresh", content=content, headers=headers)
    assert response.status_code == response.json()["status"] == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert f"{JSON_BYTES:,}" in response.json()["detail"]
    assert response.json()["code"] == "payload_too_large"
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_files_may_be_larger_than_other_bodies(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    assert (await ada.upload("large.txt", b"word " * (JSON_BYTES // 4))).status_code == 202
