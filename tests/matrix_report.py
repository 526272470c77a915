"""A pytest plugin: select the combinations in which a test runs, and print a table of the results at the end."""

from collections import defaultdict
from typing import Any

import pytest

from template_repository import ALL_CHOICES, EVERY_TWO

MARK = "combination"
# Marks that limit a test to some combinations.
FEWER = {"where_every_two_choices_meet": EVERY_TWO, "where_every_choice_is_made": ALL_CHOICES}
WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that puts a test into the table, and those that limit it to some combinations."""
    config.addinivalue_line("markers", f"{MARK}(name, what): a row and a column of the table of combinations")
    for mark, some in FEWER.items():
        config.addinivalue_line("markers", f"{mark}: runs in {len(some)} combinations, without --thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect marked tests in the other combinations, unless `--thorough` is given."""
    if config.getoption("thorough"):
        return
    repeated = [item for item in items if _is_redundant(item)]
    config.hook.pytest_deselected(items=repeated)
    items[:] = [item for item in items if item not in repeated]


def _is_redundant(item: pytest.Item) -> bool:
    about = item.get_closest_marker(MARK)
    limits = [some for mark, some in FEWER.items() if item.get_closest_marker(mark)]
    return about is not None and any(about.args[0] not in some for some in limits)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:  # noqa: ANN401 - pytest's own protocol
    """Add the place in the table to the report; reports are sent between processes, items are not."""
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
