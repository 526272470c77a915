"""Tests of the limits on request bodies."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI, Request, Response

from app.body_limit import STRANGERS_BYTES, BodyLimitMiddleware, BodyLimits
from app.bootstrap import Services
from app.main import JSON_BYTES, UPLOAD_PATHS
from app.problems import install_problem_handlers
from tests.http import join

FORM = "multipart/form-data; boundary=b"


async def drip(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 100_000):
        yield b"x" * 100_000


@pytest.mark.parametrize(
    "content", [b"x" * (JSON_BYTES + 1), drip(JSON_BYTES + 100_000)], ids=["announced", "dripping"]
)
async def test_a_body_that_is_too_large_is_a_problem_with_the_limit_in_it(
    client: httpx2.AsyncClient, services: Services, content: bytes | AsyncIterator[bytes]
) -> None:
    ada = await join(client, services, "ada@example.com")
    headers = {"Content-Type": "application/json"}
    response = await ada.request("POST", "/v1/search", content=content, headers=headers)
    assert response.status_code == response.json()["status"] == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert f"{JSON_BYTES:,}" in response.json()["detail"]
    assert response.json()["code"] == "payload_too_large"
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_files_may_be_larger_than_other_bodies(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    assert (await ada.upload("large.txt", b"word " * (JSON_BYTES // 4))).status_code == 202


async def test_only_where_files_are_kept_on_disk_may_a_form_be_as_large(
    client: httpx2.AsyncClient, services: Services
) -> None:
    ada = await join(client, services, "ada@example.com")
    form = {"headers": {"Content-Type": FORM}, "content": b"x" * (JSON_BYTES + 1)}
    assert (await ada.request("POST", "/v1/search", **form)).status_code == 413
    paths = (await client.get("/openapi.json")).json()["paths"]
    takes_files = {path for path, methods in paths.items() if "multipart/form-data" in str(methods)}
    assert takes_files == UPLOAD_PATHS


async def test_files_that_arrive_together_do_not_fill_the_disk() -> None:
    async def receive(request: Request) -> Response:
        await request.body()
        return Response()

    async def hold() -> AsyncIterator[bytes]:
        yield b"x" * 6000
        begun.set()
        await go.wait()

    begun, go = asyncio.Event(), asyncio.Event()
    app = FastAPI()
    app.add_api_route("/", receive, methods=["POST"])
    install_problem_handlers(app)
    limits = BodyLimits(json=10_000, json_of={}, upload=10_000, upload_paths={"/"}, spooled=10_000)
    app.add_middleware(BodyLimitMiddleware, limits=limits)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://test", headers={"Content-Type": FORM}
    ) as client:
        first = asyncio.create_task(client.post("/", content=hold()))
        await begun.wait()
        refused = await client.post("/", content=b"x" * 6000)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        go.set()
        assert (await first).status_code == 200
        assert (await client.post("/", content=b"x" * 10_000)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/search", "/v1/documents", "/v1/embeddings", "/v2/models/x/infer", "/mcp"])
@pytest.mark.parametrize("credentials", [{}, {"Authorization": "Bearer sk-wrong"}], ids=["no key", "a wrong key"])
async def test_a_stranger_is_refused_before_a_long_body_is_read(
    application: FastAPI, path: str, credentials: dict[str, str]
) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(1000):
            read += 1000
            yield b"x" * 1000

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://test") as client:
        announced = credentials | {"Content-Type": FORM, "Content-Length": "1000000"}
        for headers, most in ((announced, 0), (credentials | {"Content-Type": FORM}, STRANGERS_BYTES + 1000)):
            read = 0
            response = await client.post(path, content=body(), headers=headers)
            assert (response.status_code, read <= most) == (401, True), response.text
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/v1/auth/token", "/v1/documents", "/v1/detections"])
async def test_a_form_in_a_codec_of_the_callers_choice_is_refused_undecoded(
    client: httpx2.AsyncClient, services: Services, path: str
) -> None:
    ada = await join(client, services, "ada@example.com")
    slow = b'--b\r\nContent-Disposition: form-data; name="a-"\r\n\r\n2n7c' + b"a" * 10_000 + b"\r\n--b--"
    headers = {"Content-Type": f"{FORM}; charset=punycode"}
    response = await ada.request("POST", path, content=slow, headers=headers)
    assert (response.status_code, response.json()["detail"]) == (415, "Send forms in UTF-8.")
