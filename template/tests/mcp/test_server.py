"""Tests of the MCP server with an unmodified client."""

import json

import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from app.auth.caller import Scope
from app.bootstrap import Services
from app.main import create_app
from app.settings import Settings
from tests.http import Person, join


def connect(application: FastAPI, person: Person) -> Client:
    transport = httpx2.ASGITransport(application)
    http = httpx2.AsyncClient(transport=transport, headers=person.headers, base_url="http://service")
    return Client(streamable_http_client("http://service/mcp", http_client=http))


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def test_an_assistant_can_search_and_ask(application: FastAPI, ada: Person) -> None:
    document_id = await ada.upload_and_index("warranty.txt", b"The warranty lasts 24 months.")
    async with connect(application, ada) as session:
        assert {tool.name for tool in (await session.list_tools()).tools} == {"search", "ask"}
        found = await session.call_tool("search", {"query": "warranty"})
        assert found.structured_content is not None
        assert found.structured_content["items"][0]["document_id"] == document_id
        answer = await session.call_tool("ask", {"question": "How long is the warranty?"})
        assert answer.structured_content is not None
        assert "24 months" in answer.structured_content["answer"]
        assert answer.structured_content["citations"][0]["document_id"] == document_id


async def test_an_assistant_sees_its_owners_documents_alone(
    application: FastAPI, client: httpx2.AsyncClient, services: Services, ada: Person
) -> None:
    await ada.upload_and_index("warranty.txt", b"The warranty lasts 24 months.")
    eve = await join(client, services, "eve@example.com")
    async with connect(application, eve) as session:
        found = await session.call_tool("search", {"query": "warranty"})
        assert found.structured_content is not None
        assert found.structured_content["items"] == []


async def test_a_missing_scope_is_an_error_of_the_tool(
    application: FastAPI, client: httpx2.AsyncClient, services: Services
) -> None:
    weak = await join(client, services, "weak@example.com", Scope.DOCUMENTS_READ)
    async with connect(application, weak) as session:
        result = await session.call_tool("search", {"query": "warranty"})
        assert result.is_error


def test_the_endpoint_exists_before_the_server_runs(settings: Settings) -> None:
    assert [getattr(route, "path", None) for route in create_app(settings).routes].count("/mcp") == 1


async def test_no_stream_is_opened_that_would_never_end(client: httpx2.AsyncClient, ada: Person) -> None:
    response = await client.get("/mcp", headers=ada.headers | {"Accept": "text/event-stream"})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_request_without_a_key_is_unauthorized(client: httpx2.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": "Basic YTpi"}):
        response = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_long_question_in_any_alphabet_is_taken_and_a_flood_of_fields_is_not(ada: Person) -> None:
    headers = {"Accept": "application/json, text/event-stream"}
    for query, status in (("Ж" * 4000, 200), ("Ж" * 40_000, 413)):
        call = {"name": "search", "arguments": {"query": query}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        content = json.dumps(body)  # each of these letters takes six bytes
        answer = await ada.request(
            "POST", "/mcp", content=content, headers=headers | {"Content-Type": "application/json"}
        )
        assert answer.status_code == status, answer.text
        assert ("isError" not in answer.text) or '"isError":false' in answer.text
        assert status == 200 or answer.json()["code"] == "payload_too_large"
