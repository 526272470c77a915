"""What is told when a guardrail acts: a line in the log and a counter, neither of which holds any of the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from opentelemetry.metrics import get_meter

log = structlog.get_logger(__name__)

Side = Literal["input", "output", "passage"]

_triggers = get_meter("app.guardrails").create_counter(
    "app_guardrail_triggers", description="texts that a guardrail refused, redacted or left out"
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """That a check has found something.

    Attributes:
        check: its name in settings.
        side: where the text was.
        action: what was done about it: `refuse`, `review`, `redact` or `leave_out`.
        found: how many places.
        reasons: the rules that applied, where the check has several.
    """

    check: str
    side: Side
    action: str
    found: int = 1
    reasons: Sequence[str] = ()


def report(trigger: Trigger) -> None:
    """Log and count a trigger."""
    log.info(
        "guardrail.triggered",
        check=trigger.check,
        side=trigger.side,
        action=trigger.action,
        found=trigger.found,
        reasons=list(trigger.reasons),
    )
    _triggers.add(1, {"check": trigger.check, "side": trigger.side, "action": trigger.action})
