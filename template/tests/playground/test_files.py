"""Tests of the playground's files, as a browser gets them."""

import re

import httpx2
import pytest

from app.main import create_app
from app.playground.files import FOLDER, HEADERS, PlaygroundSettings
from app.settings import Settings

FILES = sorted(path.name for path in FOLDER.iterdir())
SCRIPTS = "\n".join(path.read_text() for path in FOLDER.glob("*.js"))
PAGE = (FOLDER / "index.html").read_text()


@pytest.mark.parametrize("name", ["", *FILES])
async def test_every_file_comes_with_headers_that_keep_the_key_here(client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.get(f"/playground/{name}")
    assert answer.status_code == 200
    assert HEADERS.items() <= {title.title(): value for title, value in answer.headers.items()}.items()


async def test_the_bare_path_leads_there_and_nothing_else_is_served(client: httpx2.AsyncClient) -> None:
    moved = await client.get("/playground")
    assert (moved.status_code, httpx2.URL(moved.headers["location"]).path) == (307, "/playground/")
    for path in ("/playground/files.py", "/playground/%2e%2e/files.py", "/playground/missing.js"):
        assert (await client.get(path)).status_code == 404, path


async def test_it_can_be_switched_off(settings: Settings) -> None:
    off = create_app(settings.model_copy(update={"playground": PlaygroundSettings(enabled=False)}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(off), base_url="http://service") as client:
        assert (await client.get("/playground/")).status_code == 404


async def test_every_request_of_the_page_is_an_existing_operation(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    asked = re.findall(r'(?:ask|read|command)\((?:"([A-Z]+)", )?["`](/[^"`?]*)', SCRIPTS)
    assert len(asked) > 10
    for method, path in asked:
        operations = paths[re.sub(r"\$\{\w+\}", "{document_id}", path)]
        assert (method or "POST").lower() in operations, path


def test_it_has_no_script_or_style_in_its_markup_and_names_no_other_place() -> None:
    assert not re.search(r"<script(?![^>]* src=)|<style|\s(?:style|on\w+)=", PAGE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCRIPTS)
    assert set(re.findall(r"https?://[^\s\"']+", PAGE + SCRIPTS)) == set()


def test_scripts_know_the_elements_of_the_page() -> None:
    elements = set(re.findall(r'\bid="([\w-]+)"', PAGE))
    assert set(re.findall(r'\bat\("([\w-]+)"\)', SCRIPTS)) <= elements
    assert set(re.findall(r'(?:for|aria-controls|aria-labelledby)="([\w-]+)"', PAGE)) <= elements
