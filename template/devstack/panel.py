"""Terminal output: the panel with the first steps, and the logs of the service."""

from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from devstack.processes import Child

_COLOURS = ("cyan", "magenta", "yellow", "green")


def show_ready(console: Console, url: str, key: str, folder: Path) -> None:
    """Print the service's URL, an API key, the playground and some commands to copy.

    Browsers do not send the part of a URL after `#`, here the key. URL and commands are printed outside the frame and
    without line breaks, so that they can be copied.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    table.add_row("Service", Text(url, style="bold green"))
    table.add_row("Docs", f"{url}/docs")
    table.add_row("API key", Text(key, style="bold"))
    table.add_row("Kept in", Text(f"{folder.name}/ (data, logs, key); delete it to start afresh"))
    console.print(Panel(table, title="[bold]Ready[/bold]", border_style="green", expand=False, padding=(1, 2)))
    bearer = '-H "Authorization: Bearer $KEY"'
    question = '{"question": "What is this document about?", "stream": true}'
    steps = (
        ("Try it in a browser", f"{url}/playground/#{key}"),
        ("Or here", f"export KEY={key}"),
        ("Upload a file", f"curl -F file=@YOUR.pdf {bearer} {url}/v1/documents"),
        ("See when it is ready", f"curl {bearer} {url}/v1/documents"),
        ("Ask it", f"curl -N {bearer} -H 'Content-Type: application/json' {url}/v1/answers -d '{question}'"),
    )
    for title, command in steps:
        console.print(Text(f"# {title}", style="dim"))
        console.print(Text(command), soft_wrap=True)
    console.print(Text("\nCtrl-C stops everything.\n", style="dim"))


class LogFollower:
    """Prints new log lines of children, each prefixed with the child's name."""

    def __init__(self, console: Console, children: list[Child]) -> None:
        """Follow the logs from the beginning."""
        self._console = console
        self._children = children
        self._width = max(len(child.name) for child in children)
        self._read_bytes = dict.fromkeys((child.name for child in children), 0)

    def print_new(self) -> None:
        """Print the complete lines added since the last call."""
        for child, colour in zip(self._children, _COLOURS, strict=False):
            for line in self._new_lines(child):
                prefix = (f"{child.name:>{self._width}} │ ", colour)
                self._console.print(Text.assemble(prefix, Text.from_ansi(line)), soft_wrap=True)

    def skip(self) -> None:
        """Skip all lines so far."""
        for child in self._children:
            self._new_lines(child)

    def _new_lines(self, child: Child) -> list[str]:
        with child.log.open("rb") as log:
            log.seek(self._read_bytes[child.name])
            whole, newline, _ = log.read().rpartition(b"\n")
        self._read_bytes[child.name] += len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n") if newline else []
