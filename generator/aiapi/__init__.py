"""The command line that starts a production AI service from the aiapi template."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Read `__version__` from the installed metadata on first use, so that importing the package stays free."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - paid only by who asks

        return version("aiapi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
