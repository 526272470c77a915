"""What the measurements give: rows of the table, and the numbers that the plots show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: was measured.
        measured: the number, with its unit, and what else a reader should know.
        aim: what it should be; empty if there is none.
        met: whether it is; None where nothing could be compared.
    """

    what: str
    measured: str
    aim: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: of those that are repeated; the median counts.
        seconds: of each load.
        models: of `compute`, `weight`, `encoder` and `device`.
    """

    rounds: int = 5
    seconds: float = 2.0
    models: tuple[str, ...] = ("compute", "weight", "encoder", "device")


@dataclass
class Measured:
    """What one measurement gave.

    Attributes:
        series: numbers for the plots, by model.
    """

    rows: list[Row] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)

    def doubt(self, reason: str) -> None:
        """Say that others were at work on the machine: whether an aim is met is not known."""
        self.rows = [replace(row, measured=f"{row.measured}; {reason}", met=None) for row in self.rows]


def at_least(what: str, value: float, aim: float, more: str = "") -> Row:
    """Compare a ratio with the least that it should be."""
    return Row(what, f"{value:.2f}{more}", f"≥ {aim:.2f}", met=value >= aim)


def at_most(what: str, value: float, aim: float, more: str = "") -> Row:
    """Compare a ratio with the most that it should be."""
    return Row(what, f"{value:.2f}{more}", f"≤ {aim:.2f}", met=value <= aim)


def not_compared(what: str, reason: str) -> Row:
    """Say what could not be measured, and why."""
    return Row(what, f"not compared: {reason}")


def table(rows: Iterable[Row]) -> str:
    """Write rows as Markdown."""
    words = {True: "yes", False: "**no**", None: "not known"}
    lines = [f"| {row.what} | {row.measured} | {row.aim} | {words[row.met]} |" for row in rows]
    return "\n".join(["| what | measured | aim | met |", "| --- | --- | --- | --- |", *lines])


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share lies; nan for none."""
    return sorted(values)[int(len(values) * share)] if values else float("nan")
