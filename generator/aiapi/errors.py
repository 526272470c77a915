"""The errors a user can cause or meet, each with the exit code of the command that meets it.

AiapiError            1
├── UsageError        2   the command line itself is incomplete or contradicts itself
├── AnswersError      1   unknown keys and bad values, all of them at once
├── DestinationError  1   the project cannot be put where it was asked for
├── ProjectError      1   there is no project here, or it is in no state for what was asked
├── ToolError         1   git or uv is missing, too old or failed
└── TemplateError     1   no usable template source, or the template does not render
"""

from __future__ import annotations

from typing import ClassVar


class AiapiError(Exception):
    """What went wrong in one line, with the remedy and, where there are several problems, all of them."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "", problems: tuple[str, ...] = ()) -> None:
        """Keep the line, the remedy and the single problems for the report."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.problems = problems


class UsageError(AiapiError):
    """The command line is incomplete or contradicts itself."""

    exit_code = 2


class AnswersError(AiapiError):
    """Some answers are unknown or not acceptable; `problems` names every one."""


class DestinationError(AiapiError):
    """The project cannot be put where it was asked for."""


class ProjectError(AiapiError):
    """There is no project here, or it is in no state for what was asked."""


class ToolError(AiapiError):
    """A program that is needed is missing, too old, or failed."""


class TemplateError(AiapiError):
    """There is no usable template source, or the template could not be rendered."""
