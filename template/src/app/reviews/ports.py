"""The port through which a feature checks what reviewers release."""

from typing import Any, Protocol


class ReleaseCheck(Protocol):
    """Checks results for one kind of item."""

    def __call__(self, given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401 - JSON
        """Check that a result may be released to the owner. Slow: call it in a thread.

        Args:
            given: input of the item's feature.
            result: the result to release.
            is_corrected: whether the result is the reviewer's correction rather than the approved output.

        Raises:
            UnprocessableError: the result may not be released.
        """
