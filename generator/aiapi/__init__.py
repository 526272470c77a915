"""The command line that creates production AI services from the aiapi template, and updates them."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Return `__version__` from the installed metadata, read on first use to keep the import fast."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only on first use

        return version("aiapi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
