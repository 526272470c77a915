"""Read the questions of the template: their choices, defaults and trade-offs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAME = "project_name"
# A wheel has copier.yml inside the package; a checkout has it at its root.
PLACES = (HERE / "copier.yml", HERE.parents[1] / "copier.yml")


@dataclass(frozen=True)
class Choice:
    """One value of an option, with its title and trade-off."""

    value: str
    title: str
    cost: str


@dataclass(frozen=True)
class Option:
    """One question of the template."""

    name: str
    help: str
    default: str | None
    choices: tuple[Choice, ...]
    validator: str

    @property
    def flag(self) -> str:
        """The command-line flag that answers this question."""
        return "--" + self.name.replace("_", "-")

    @property
    def values(self) -> tuple[str, ...]:
        """The valid values; empty for free text."""
        return tuple(choice.value for choice in self.choices)


def parse(text: str) -> tuple[Option, ...]:
    """Parse the text of a copier.yml, and return the questions that a user can answer, in order."""
    import yaml  # noqa: PLC0415 - `--version` does not need it

    # The C loader is five times faster, and every command needs it.
    raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    return tuple(
        _option(name, question)
        for name, question in raw.items()
        if not name.startswith("_") and question.get("when") is not False
    )


def _option(name: str, question: dict[str, Any]) -> Option:
    default = question.get("default")
    return Option(
        name=name,
        help=question.get("help", ""),
        default=None if default is None else str(default),
        choices=_choices(question.get("choices", ())),
        validator=question.get("validator", ""),
    )


def _choices(raw: dict[str, Any] | list[Any]) -> tuple[Choice, ...]:
    pairs = raw.items() if isinstance(raw, dict) else ((value, value) for value in raw)
    split = ((str(value), *str(label).partition(": ")) for label, value in pairs)
    return tuple(Choice(value, title, cost) for value, title, _, cost in split)


@cache
def bundled() -> tuple[Option, ...]:
    """Return the questions of the template in this installation; empty if it has none."""
    place = next((place for place in PLACES if place.is_file()), None)
    return parse(place.read_text("utf-8")) if place else ()


def as_data(options: tuple[Option, ...]) -> list[dict[str, Any]]:
    """Describe the options for `--json`; the project name is the argument of `aiapi new`, so it has no flag."""
    return [
        {
            "name": option.name,
            "flag": None if option.name == NAME else option.flag,
            "help": option.help,
            "default": option.default,
            "choices": [{"value": c.value, "title": c.title, "cost": c.cost} for c in option.choices],
        }
        for option in options
    ]


def as_markdown(options: tuple[Option, ...]) -> str:
    """Return the table that README shows between its `options` comments, one row per choice."""
    lines = ["| option | choice | meaning |", "| --- | --- | --- |"]
    for option in (option for option in options if option.name != NAME):
        default = "" if option.choices or not option.default else f" (default: {option.default})"
        if not option.choices:
            lines.append(f"| `{option.flag}` | free text | {option.help}{default} |")
        for place, choice in enumerate(option.choices):
            mark = " (default)" if choice.value == option.default else ""
            meaning = f"{choice.title}: {choice.cost}" if choice.cost else choice.title
            shown = f"`{option.flag}`" if place == 0 else ""
            lines.append(f"| {shown} | `{choice.value}`{mark} | {meaning} |")
    return "\n".join(lines) + "\n"
