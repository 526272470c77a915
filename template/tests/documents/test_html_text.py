"""Extracting the text of HTML pages."""

import pytest
from hypothesis import given, settings, strategies

from app.documents.html_text import extract_text
from tests.http import Person

PAGE = """<!DOCTYPE html>
<html><head><title>Terms</title><style>p { color: red }</style><script>var hidden = "<p>no</p>";</script></head>
<body>
  <nav><ul><li><a href="/">Home</a></li><li>Terms</li></ul></nav>
  <h1>Warranty</h1>
  <p>The <b>warranty</b> lasts&nbsp;24
     months &amp; covers the battery.</p><noscript>Switch it on.</noscript><template><p>no</p></template>
  <table><tr><th>Part</th><td>Days</td></tr><tr><th>Pump</th><td>3</td></tr></table>
  <pre>a  b
  c</pre>
  <!-- nothing --> Returns go<br>to Leiden.
</body></html>"""
TEXT = """Home
Terms

Warranty

The warranty lasts 24 months & covers the battery.

Part Days
Pump 3

a  b
  c

Returns go
to Leiden."""


def test_a_page_becomes_the_text_that_a_reader_sees() -> None:
    assert extract_text(PAGE) == TEXT


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<head><meta charset=utf-8><body>Yes", "Yes"),
        ("<head><title>No</title><p>Yes", "Yes"),
        ("a</noscript>b<noscript>c<noscript>d</noscript>e</noscript>f", "abf"),
        ("1 < 2 & 3 > 2 &unknown; &#x41;", "1 < 2 & 3 > 2 &unknown; A"),
        ("No markup\n at all", "No markup at all"),
    ],
)
def test_what_is_not_closed_or_no_markup_is_read_as_well_as_can_be(markup: str, text: str) -> None:
    assert extract_text(markup) == text


@settings(max_examples=200)
@given(
    strategies.lists(strategies.sampled_from(["<p>", "</p>", "<pre", "<!", "<![", "]]>", "-->", "<?", "&#", ">", "x "]))
)
def test_no_markup_makes_extraction_fail(pieces: list[str]) -> None:
    extract_text("".join(pieces))


async def test_offsets_count_the_characters_of_the_text_without_markup(ada: Person) -> None:
    await ada.upload_and_index("terms.html", PAGE.encode())
    found = (await ada.request("POST", "/v1/search", json={"query": "How long is the warranty?"})).json()["items"]
    assert all(TEXT[each["start"] : each["end"]] == each["text"] for each in found)
    assert "The warranty lasts 24 months" in found[0]["text"]
