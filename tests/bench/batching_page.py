"""The page of measurements: its table and its plots, made of what was kept of each measurement."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from batching_results import Measured, Row, table
from batching_throughput import WORDS
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "<!-- measured: written by the benchmark -->", "<!-- end -->"
COLOURS = {"ours": "#0b6e4f", "LitServe": "#8a8d91", "BentoML": "#c9a227"}


def keep(folder: Path, name: str, measured: Measured) -> None:
    """Keep what a measurement gave, and draw it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [asdict(row) for row in measured.rows]
    (folder / f"{name}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    mpl.rcParams.update(
        {"axes.spines.top": False, "axes.spines.right": False, "grid.alpha": 0.3, "axes.axisbelow": True}
    )
    if draw := {"rivals": draw_rivals, "overload": draw_overload, "throughput": draw_shares}.get(name):
        draw(measured.series)
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close()


def write_page(page: Path, folder: Path, names: Sequence[str]) -> None:
    """Put the table of everything that was kept into the page."""
    kept = [folder / f"{name}.json" for name in names]
    rows = [Row(**each) for path in kept if path.exists() for each in json.loads(path.read_text())]
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


def draw_rivals(series: dict[str, Any]) -> None:
    """Draw answers per second by callers, a panel for each model."""
    _, panels = plt.subplots(1, len(series), figsize=(3.2 * len(series), 2.8), squeeze=False, layout="constrained")
    for panel, (name, sides) in zip(panels[0], series.items(), strict=True):
        for place, (side, rates) in enumerate(sides.items()):
            heights = list(rates.values())
            panel.bar([at + place * 0.27 for at in range(len(heights))], heights, 0.25, label=side, color=COLOURS[side])
        panel.set_xticks([at + 0.27 for at in range(3)], [f"{callers}" for callers in sides["ours"]])
        panel.set_title(WORDS[name].partition(",")[0])
        panel.set_xlabel("callers")
    panels[0][0].set_ylabel("answers per second")
    panels[0][0].legend(frameon=False)


def draw_overload(series: dict[str, Any]) -> None:
    """Draw what is answered and refused over time, and what the server holds, a column for each model."""
    figure, panels = plt.subplots(2, len(series), figsize=(3.2 * len(series), 4), squeeze=False, layout="constrained")
    for (above, below), (name, seen) in zip(panels.T, series.items(), strict=True):
        seconds = range(int(max(at for at, _ in seen["moments"])) + 1)
        for status, word, colour in ((200, "answered", COLOURS["ours"]), (503, "refused", "#b23a48")):
            counts = [sum(int(at) == second and each == status for at, each in seen["moments"]) for second in seconds]
            above.plot(seconds[:-1], counts[:-1], label=word, color=colour, marker="o", markersize=3)
        above.axhline(seen["capacity"], color="black", linestyle=":", label="capacity")
        above.set_title(WORDS[name].partition(",")[0])
        above.set_ylim(bottom=0)
        below.plot([at for at, _ in seen["memory"]], [size / 1e6 for _, size in seen["memory"]], color="#30505e")
        below.set_ylim(0, 1.2 * max(size for _, size in seen["memory"]) / 1e6)
        below.set_xlabel("seconds at twice the capacity")
    panels[0][0].set_ylabel("per second")
    panels[1][0].set_ylabel("memory in MB")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)


def draw_shares(series: dict[str, Any]) -> None:
    """Draw each round's share of the bare model, and the aim."""
    _, panel = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
    for place, (name, seen) in enumerate(series.items()):
        panel.barh(place, sorted(seen["shares"])[len(seen["shares"]) // 2], 0.5, color=COLOURS["ours"])
        panel.plot(seen["shares"], [place] * len(seen["shares"]), "o", color="black", markersize=3)
        panel.plot([seen["aim"]] * 2, [place - 0.4, place + 0.4], color="#b23a48")
        panel.text(0.01, place, WORDS[name], color="white", va="center")
    panel.set_yticks([])
    panel.set_xlim(0, 1.05)
    panel.set_xlabel("share of bare onnxruntime with 64 callers (dots: rounds; line: aim)")
