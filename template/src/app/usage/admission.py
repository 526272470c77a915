"""What lets a request through to a language model."""

from dataclasses import dataclass

from app.auth.caller import Caller
from app.usage.measurement import Expectation
from app.usage.quotas import Taken


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that is within its caller's limits; the limits hold a place for it until it is settled.

    Attributes:
        taken: of the caller's quotas, where there are some.
    """

    caller: Caller
    expected: Expectation
    taken: Taken | None
