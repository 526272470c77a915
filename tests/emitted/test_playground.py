"""The playground, in a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect, sync_playwright

from emitted.conftest import each_combination
from emitted.knowledge import MANUAL
from emitted.stack import Stack, running

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
# Whoever names a file so hopes that a page takes it for markup.
HOSTILE = "<img src=x onerror=alert(1)>.md"
ELSEWHERE = "service.example"  # as the browser is told, another name of this machine
INDEXED_MS, ANSWERED_MS = 60_000, 20_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="this machine has no Chromium")


@each_combination("playground", only="pgvector-arq-cpu")
def test_everything_on_the_playground_works_and_nothing_of_it_leaves_the_service(project: Path) -> None:
    with running(project) as stack, opened(stack) as page:
        page.goto(f"{stack.url}/playground/#{stack.key}")
        expect(page.locator("#account")).to_contain_text("@", timeout=ANSWERED_MS)
        assert page.url == f"{stack.url}/playground/"
        page.reload()
        expect(page.locator("#account")).to_contain_text("@", timeout=ANSWERED_MS)
        page.get_by_role("tab", name="Service").click()
        expect(page.locator("#state")).to_contain_text("requests to language models", timeout=ANSWERED_MS)
        try_documents(page)
        try_chat(page)
        try_pictures(page)
        try_labels(page)
        page.get_by_role("tab", name="Service").click()
        expect(page.locator("#state")).to_contain_text("offline:extractive", timeout=ANSWERED_MS)
        expect(page.locator("#state")).to_contain_text("0 USD", timeout=ANSWERED_MS)
        expect(page.locator("#state .failed")).to_have_count(0)


@each_combination("playground", only="pgvector-arq-cpu")
def test_what_goes_wrong_is_told_and_no_link_from_elsewhere_signs_a_visitor_in(project: Path) -> None:
    with running(project) as stack, opened(stack, strict=False) as page:
        page.goto(f"{stack.url}/playground/")
        expect(page.locator("#account")).to_have_text("needed for all of this")
        # A link may not sign a visitor in anywhere but on the own machine.
        page.goto(f"{stack.url.replace('127.0.0.1', ELSEWHERE)}/playground/#{stack.key}")
        expect(page.locator("#account")).to_have_text("needed for all of this")
        page.goto(f"{stack.url}/playground/")
        page.get_by_label("API key").fill("sk-wrong")
        page.get_by_role("button", name="Use").click()
        expect(page.locator("#account")).to_contain_text("not valid", timeout=ANSWERED_MS)
        page.route("**/v1/**", lambda route: route.abort())
        page.get_by_label("Question").fill("Is anybody there?")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer-problem")).to_have_text("The service does not answer.")


def try_documents(page: Page) -> None:
    page.get_by_role("tab", name="Documents").click()
    page.locator("#file").set_input_files(FilePayload(name=HOSTILE, mimeType="text/markdown", buffer=MANUAL.encode()))
    entry = page.locator("#documents li").filter(has_text=HOSTILE)
    expect(entry.locator(".state")).to_have_text("ready", timeout=INDEXED_MS)
    page.get_by_label("Question").fill("How long does the warranty last?")
    page.get_by_role("button", name="Ask").click()
    source = page.get_by_role("button", name="Source 1").first
    expect(source).to_be_visible(timeout=ANSWERED_MS)
    source.click()
    expect(page.locator(".passage.shown mark").first).not_to_be_empty()
    assert '"stream":true' in (page.locator("#answer-command").text_content() or "")
    entry.get_by_role("button", name="Delete").click()
    expect(entry).to_have_count(0, timeout=ANSWERED_MS)


def try_chat(page: Page) -> None:
    page.get_by_role("tab", name="Chat").click()
    expect(page.locator("#model")).to_have_value("default", timeout=ANSWERED_MS)
    page.get_by_label("Message").fill("The kettle is red. Which colour is the kettle?")
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".message.assistant")).to_contain_text("red", timeout=ANSWERED_MS)
    expect(page.get_by_label("Message")).to_be_empty()


def try_pictures(page: Page) -> None:
    page.get_by_role("tab", name="Pictures").click()
    expect(page.locator("#found li")).not_to_have_count(0, timeout=ANSWERED_MS)
    page.locator("#picture").set_input_files(FilePayload(name="no.png", mimeType="image/png", buffer=b"no picture"))
    expect(page.locator("#pictures-problem")).not_to_be_empty(timeout=ANSWERED_MS)


def try_labels(page: Page) -> None:
    page.get_by_role("tab", name="Labels").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".score")).to_have_count(3, timeout=ANSWERED_MS)


@contextmanager
def opened(stack: Stack, *, strict: bool = True) -> Iterator[Page]:
    """Open a browser; afterwards nothing has asked elsewhere, nor complained if that is `strict`."""
    # Chromium does not run in its sandbox as root.
    arguments = [f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        asked, said = list[str](), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        yield page
        browser.close()
    own = (f"{stack.url}/", f"{stack.url.replace('127.0.0.1', ELSEWHERE)}/", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    # The picture that is none is refused with a 4xx, of which browsers tell.
    assert not strict or [words for words in said if "status of 4" not in words] == []
