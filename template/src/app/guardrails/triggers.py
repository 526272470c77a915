"""Log events and metrics for actions of guardrails; neither contains any of the text."""

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
    """A match of a check.

    Attributes:
        check: name of the check in the settings.
        side: where the text came from.
        action: the action taken: `refuse`, `review`, `redact` or `leave_out`.
        found: number of matches.
        reasons: the rules that matched, if the check has several.
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
