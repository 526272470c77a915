"""Text extraction from HTML: the visible text, with line breaks between blocks."""

import re
from html.parser import HTMLParser

UNSEEN = {"head", "noscript", "script", "style", "svg", "template", "title"}
PARAGRAPHS = {"article", "aside", "blockquote", "dl", "figure", "footer", "form", "header", "hr", "main", "nav", "ol"}
PARAGRAPHS |= {"h1", "h2", "h3", "h4", "h5", "h6", "p", "pre", "section", "table", "ul"}
LINES = {"address", "br", "caption", "dd", "details", "div", "dt", "figcaption", "legend", "li", "option", "summary"}
LINES |= {"tr"}
CELLS = {"td", "th"}
BODY = {"body", *PARAGRAPHS, *LINES}
# From none to the widest; of adjacent gaps, the widest applies.
GAPS = ("", " ", "\n", "\n\n")
SPACE, LINE, PARAGRAPH = 1, 2, 3

_MARKED_SECTION = re.compile(r"<!\[++")


def extract_text(markup: str) -> str:
    """Extract the text of a page. Invalid markup never fails, but some takes long, so limit the time."""
    reader = _Reader()
    # Marked sections have no meaning in HTML, and the parser fails at unknown ones.
    reader.feed(_MARKED_SECTION.sub("<!", markup))
    reader.close()
    return "".join(reader.parts)


class _Reader(HTMLParser):
    """Collects the text, and the gaps between its parts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._gap = 0
        self._unseen = ""
        self._depth = 0
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen == "head" and tag in BODY:
            self._unseen = ""  # the closing tag of head and the opening tag of body are optional
        if self._unseen:
            self._depth += tag == self._unseen
        elif tag in UNSEEN:
            self._unseen, self._depth = tag, 1
        self._preformatted += tag == "pre"
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._depth -= 1
            self._unseen = tag if self._depth else ""
        self._preformatted = max(0, self._preformatted - (tag == "pre"))
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._preformatted:
            self._write(data)
            return
        words = data.split()
        if words:
            self._widen(SPACE if data[0].isspace() else 0)
            self._write(" ".join(words))
        self._widen(SPACE if data[-1:].isspace() else 0)

    def _separate(self, tag: str) -> None:
        if tag in PARAGRAPHS:
            self._widen(PARAGRAPH)
        elif tag in LINES:
            self._widen(LINE)
        elif tag in CELLS:
            self._widen(SPACE)

    def _widen(self, gap: int) -> None:
        self._gap = max(self._gap, gap)

    def _write(self, text: str) -> None:
        if self.parts:
            self.parts.append(GAPS[self._gap])
        self.parts.append(text)
        self._gap = 0
