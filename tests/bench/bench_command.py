"""What the command line costs over what it is made of: run with `python tests/bench/bench_command.py`.

Two ratios, each of two commands run in turn in one go, by their medians:

- `aiapi --help` to `python -c "import typer"`;
- `aiapi new --defaults --no-lock` to a bare `copier copy` of the same template.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AIAPI = str(Path(sys.executable).with_name("aiapi"))
LIMIT = 2.0


def commit_checkout(root: Path) -> None:
    """Commit the working tree's generator, questions and template as a checkout of their own."""
    ignored = shutil.ignore_patterns("__pycache__", ".venv", ".*_cache", ".dev")
    for folder in ("generator/aiapi", "template"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    shutil.copy(ROOT / "copier.yml", root)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        [*identity, "commit", "-qm", "bench"],
        [*identity, "tag", "v0.1.0"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)


def seconds(command: list[str], environment: dict[str, str], made: Path) -> float:
    """Run a command that may make a folder, remove that again, and return the time it took."""
    started = time.perf_counter()
    result = subprocess.run(command, env=environment, cwd=made.parent, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    shutil.rmtree(made, ignore_errors=True)
    return taken


def main() -> int:
    """Measure and print both ratios; 1 when one of them is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        checkout, made = Path(scratch) / "checkout", Path(scratch) / "work/demo"
        checkout.mkdir()
        made.parent.mkdir()
        commit_checkout(checkout)
        # Without bytecode every start compiles what it imports, which no user's machine does.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPATH": str(checkout / "generator")}
        copy = [sys.executable, "-m", "copier", "copy", "-q", "--defaults", "-d", "project_name=demo"]
        pairs = {
            "aiapi --help": ([AIAPI, "--help"], [sys.executable, "-c", "import typer"], "import typer"),
            "aiapi new": (
                [AIAPI, "new", "demo", "--defaults", "--no-lock", "--quiet"],
                [*copy, str(checkout), str(made)],
                "copier copy",
            ),
        }
        print(f"{'command':<14} {'median':>9}  {'against':<14} {'median':>9}  {'ratio':>6}   ({rounds} rounds)")
        worst = 0.0
        for name, (ours, theirs, label) in pairs.items():
            for command in (ours, theirs):  # compiles the bytecode
                seconds(command, environment, made)
            times = [(seconds(ours, environment, made), seconds(theirs, environment, made)) for _ in range(rounds)]
            mine, other = (statistics.median(column) for column in zip(*times, strict=True))
            worst = max(worst, mine / other)
            print(f"{name:<14} {mine * 1000:>6.0f} ms  {label:<14} {other * 1000:>6.0f} ms  {mine / other:>6.2f}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
