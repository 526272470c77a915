"""Tests of request identifiers and of unexpected errors."""

import httpx2
from fastapi import FastAPI


async def test_every_answer_carries_an_identifier(client: httpx2.AsyncClient) -> None:
    for path in ("/health/live", "/nowhere", "/v1/documents"):
        assert len((await client.get(path)).headers["x-request-id"]) == 32, path


async def test_an_identifier_from_a_proxy_is_kept_if_it_is_harmless(client: httpx2.AsyncClient) -> None:
    kept = await client.get("/health/live", headers={"X-Request-ID": "edge-42.a_b"})
    assert kept.headers["x-request-id"] == "edge-42.a_b"
    for bad in ("short", "x" * 200, "with space and more", "<script>alert</script>"):
        replaced = await client.get("/health/live", headers={"X-Request-ID": bad})
        assert replaced.headers["x-request-id"] != bad


async def test_a_bug_is_a_bare_500_with_the_identifier(application: FastAPI, client: httpx2.AsyncClient) -> None:
    @application.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret detail")

    response = await client.get("/broken")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == "internal_error"
    assert body["request_id"] == response.headers["x-request-id"]
    assert "secret detail" not in response.text


async def test_unknown_paths_and_methods_are_problems_too(client: httpx2.AsyncClient) -> None:
    for method, path, status in [("GET", "/nowhere", 404), ("PUT", "/health/live", 405)]:
        response = await client.request(method, path)
        assert response.status_code == response.json()["status"] == status
        assert response.headers["content-type"] == "application/problem+json"
