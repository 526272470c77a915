"""Command line of the foundry: make, measure or check the shipped models, or write the full embedding model."""

import argparse
import sys
from pathlib import Path

from foundry.manifest import problems

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "template" / "models" / "embedding"
CACHE = ROOT / ".cache" / "foundry"
SIZE_LIMIT = 5_000_000
DETECTOR = ROOT / "template" / "models" / "detection"
DETECTOR_SIZE_LIMIT = 1_000_000


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="foundry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make", help="fit the static model, write it into the template and measure it")
    commands.add_parser("measure", help="measure the shipped model again and renew the table in its card")
    commands.add_parser("make-detector", help="fit the detector, write it into the template and measure it")
    commands.add_parser("measure-detector", help="measure the shipped detector again and renew its card")
    commands.add_parser("check", help="verify checksums and sizes of the shipped models; needs only Python")
    full = commands.add_parser("full", help="write the full all-MiniLM-L6-v2 in the same shape")
    full.add_argument("folder", type=Path, help="folder to write, for instance models/embedding of a project")
    arguments = parser.parse_args()
    if arguments.command == "check":
        check(SHIPPED, SIZE_LIMIT)
        check(DETECTOR, DETECTOR_SIZE_LIMIT)
        return
    if arguments.command.endswith("-detector"):
        from foundry.detection.make import make_detector, measure_detector  # noqa: PLC0415

        if arguments.command == "make-detector":
            make_detector(DETECTOR)
            check(DETECTOR, DETECTOR_SIZE_LIMIT)
        measure_detector(DETECTOR)
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
        check(SHIPPED, SIZE_LIMIT)
    make.measure_static(SHIPPED, CACHE)


def check(folder: Path, size_limit: int) -> None:
    """Say that ``folder`` is as recorded, or end with one line for each way in which it is not."""
    found = problems(folder, size_limit=size_limit)
    if found:
        sys.exit(
            "\n".join(f"{folder.name}: {problem}; make it again, see generator/foundry/README.md" for problem in found)
        )
    print(f"{folder.name}: files match their checksums and stay under {size_limit:,} bytes")


if __name__ == "__main__":
    main()
