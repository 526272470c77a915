"""What lets a request through to a language model."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from app.auth.caller import Caller
from app.usage.measurement import Expectation
from app.usage.quotas import Taken


@dataclass(frozen=True, slots=True)
class Hold:
    """What was set aside for a call.

    Attributes:
        cost: None where no price is known.
        is_stored: whether it outlives the process; where there is no money in it, it need not.
    """

    id: UUID
    month: date
    cost: Decimal | None
    is_stored: bool = True


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that is within its caller's limits, which hold a place for it until it is recorded or released.

    Attributes:
        hold: of the caller's budget, and of a place in the records.
        taken: of the caller's quotas, where there are some.
    """

    caller: Caller
    expected: Expectation
    hold: Hold
    taken: Taken | None
