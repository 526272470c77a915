"""The errors of the development stack; each message tells the user what to do."""


class DevstackError(Exception):
    """A problem that the user can solve; its message is shown without a traceback."""


class FolderInUseError(DevstackError):
    """Another run has locked this project's state folder."""


class ChildDiedError(DevstackError):
    """A process of the stack ended unexpectedly."""


class StopRequested(Exception):  # noqa: N818 - a request, not a failure
    """The user asked the stack to stop, by Ctrl-C or a signal.

    Attributes:
        signal_number: The first stop signal that arrived.
    """

    def __init__(self, signal_number: int) -> None:
        """Store the number of the stop signal."""
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
