"""A pytest plugin: which combination passed what, as a table at the end of the run."""

from collections import defaultdict
from typing import Any

import pytest

MARK = "combination"
WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that puts a test into the table."""
    config.addinivalue_line("markers", f"{MARK}(name, what): a row and a column of the table of combinations")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:  # noqa: ANN401 - pytest's own protocol
    """Note on the report where it belongs in the table; reports travel between processes, items do not."""
    report = yield
    for mark in item.iter_markers(MARK):
        report.user_properties.append((MARK, mark.args))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    columns: list[str] = []
    for outcome, word in WORDS.items():
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == MARK:
                    combination, what = value
                    rows[combination][what] = word
                    columns += [what] if what not in columns else []
    if rows:
        _print(terminalreporter, rows, sorted(columns))


def _print(out: pytest.TerminalReporter, rows: dict[str, dict[str, str]], columns: list[str]) -> None:
    first = max(map(len, rows))
    out.section("combinations")
    out.write_line(" " * first + "  " + "  ".join(columns))
    for combination in sorted(rows):
        cells = [rows[combination].get(column, "-").ljust(len(column)) for column in columns]
        out.write_line(combination.ljust(first) + "  " + "  ".join(cells))
