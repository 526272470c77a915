"""Plain paragraphs from reStructuredText and plain text files, with the heading each one stands first under."""

import re
from collections.abc import Iterator

UNDERLINE = re.compile(r"^([=\-~^\"'#*+`:.])\1{2,}\s*$")
ROLE = re.compile(r":[\w:+-]+:`~?([^`<]+?)(?:\s*<[^>]*>)?`")
LINK = re.compile(r"`([^`<]+?)\s*<[^>]*>`_{1,2}")
MARKS = re.compile(r"``|\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|`_{0,2}|\|")
FEWEST_WORDS = 3
LETTERS_SHARE = 0.7


def plain_passages(text: str) -> Iterator[tuple[str, str]]:
    """Yield ``(heading, paragraph)``; the heading is empty for all but the first paragraph of a section.

    Indented blocks (code, directives), tables and lists of options are left out.
    """
    heading = ""
    for block in re.split(r"\n\s*\n", text):
        lines = [line.rstrip() for line in block.strip("\n").split("\n")]
        found, lines = _heading(lines)
        heading = found or heading
        if not lines or lines[0].startswith((" ", "\t", "..", "+-", "|", ">>>", "$ ", ":")):
            continue
        paragraph = _plain(" ".join(line.strip() for line in lines))
        if len(paragraph.split()) >= FEWEST_WORDS and _mostly_letters(paragraph):
            yield heading, paragraph
            heading = ""


def _heading(lines: list[str]) -> tuple[str, list[str]]:
    if lines and UNDERLINE.match(lines[0]):
        lines = lines[1:]
    if len(lines) > 1 and UNDERLINE.match(lines[1]) and not lines[0].startswith(" "):
        return _plain(lines[0]), lines[2:]
    return "", lines


def _plain(text: str) -> str:
    text = LINK.sub(r"\1", ROLE.sub(r"\1", text))
    text = re.sub(r"^(?:[*\-#]|\d+\.)\s+", "", MARKS.sub("", text))
    return re.sub(r"\s+", " ", text).strip()


def _mostly_letters(text: str) -> bool:
    return sum(character.isalpha() or character == " " for character in text) >= LETTERS_SHARE * len(text)
