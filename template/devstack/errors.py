"""What can go wrong while the stack runs; each message tells the user what to do."""


class DevstackError(Exception):
    """A problem that the user can solve; its text is shown without a traceback."""


class FolderInUseError(DevstackError):
    """Another run holds this project's state folder."""


class ChildDiedError(DevstackError):
    """A process of the stack ended although it should have kept running."""


class StopRequested(Exception):  # noqa: N818 - a request, not a failure
    """The user asked the stack to stop, by Ctrl-C or a signal.

    Attributes:
        signal_number: The first signal that asked for it.
    """

    def __init__(self, signal_number: int) -> None:
        """Remember which signal asked."""
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
