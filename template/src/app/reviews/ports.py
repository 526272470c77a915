"""The ports through which reviews consult the features whose outputs are reviewed."""

from typing import Any, Protocol


class ReleaseCheck(Protocol):
    """Checks what may be released for one kind of item."""

    def __call__(self, given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401 - JSON
        """Pass if the result may go to the owner; it takes time, so call it in a thread.

        Args:
            given: what the item's feature was given.
            result: what is to be released.
            is_corrected: whether the reviewer wrote it, rather than finding it good.

        Raises:
            UnprocessableError: it may not.
        """
