"""Command line of the foundry: make, measure or check the shipped embedding model, or write the full one."""

import argparse
import sys
from pathlib import Path

from foundry.manifest import problems

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "template" / "models" / "embedding"
CACHE = ROOT / ".cache" / "foundry"
SIZE_LIMIT = 5_000_000


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="foundry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make", help="fit the static model, write it into the template and measure it")
    commands.add_parser("measure", help="measure the shipped model again and renew the table in its card")
    commands.add_parser("check", help="verify checksums and size of the shipped model; needs only Python")
    full = commands.add_parser("full", help="write the full all-MiniLM-L6-v2 in the same shape")
    full.add_argument("folder", type=Path, help="folder to write, for instance models/embedding of a project")
    arguments = parser.parse_args()
    if arguments.command == "check":
        check(SHIPPED)
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    # The numeric libraries are needed for making only: a check must run on a bare Python.
    from foundry import make  # noqa: PLC0415
    from foundry.distil import Recipe  # noqa: PLC0415

    if arguments.command == "full":
        make.make_full(arguments.folder, CACHE, SHIPPED)
        return
    if arguments.command == "make":
        make.make_static(SHIPPED, CACHE, Recipe())
        check(SHIPPED)
    make.measure_static(SHIPPED, CACHE)


def check(folder: Path) -> None:
    """Say that ``folder`` is as recorded, or end with one line for each way in which it is not."""
    found = problems(folder, size_limit=SIZE_LIMIT)
    if found:
        sys.exit("\n".join(f"{folder.name}: {problem}; run `python -m foundry make`" for problem in found))
    print(f"{folder.name}: files match their checksums and stay under {SIZE_LIMIT:,} bytes")


if __name__ == "__main__":
    main()
