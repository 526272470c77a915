"""The errors that a command can report, each with its exit code.

AiapiError            1
├── UsageError        2   the command line is incomplete or contradictory
├── AnswersError      1   answers are unknown or invalid
├── DestinationError  1   the project cannot be created at its destination
├── ProjectError      1   there is no project here, or its state does not allow the command
├── ToolError         1   git or uv is missing, too old or failed
└── TemplateError     1   the template is unusable or does not render
"""

from __future__ import annotations

from typing import ClassVar


class AiapiError(Exception):
    """A problem in one line, with its remedy and, if there are several problems, a list of them."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "", problems: tuple[str, ...] = ()) -> None:
        """Store the message, the remedy and the list of problems."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.problems = problems


class UsageError(AiapiError):
    """The command line is incomplete or contradictory."""

    exit_code = 2


class AnswersError(AiapiError):
    """Answers are unknown or invalid; `problems` lists each."""


class DestinationError(AiapiError):
    """The project cannot be created at its destination."""


class ProjectError(AiapiError):
    """There is no project here, or its state does not allow the command."""


class ToolError(AiapiError):
    """A required program is missing, too old, or failed."""


class TemplateError(AiapiError):
    """The template is unusable or does not render."""
