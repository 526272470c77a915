"""Answers that are kept for a while, to be given again to who asks the same: what keeps them, and under which key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Literal, Protocol

from app.auth.caller import Caller
from app.chat.ports import Finished, LanguageModel, ModelRequest, TextDelta, ToolCallDelta

FORMAT = 1  # of what is kept, and of what a key is made of; another number leaves everything behind that was kept

# Who gets an answer for all who ask the same meanwhile: `granted` is whoever claimed it, `taken` somebody else, `off`
# nobody, because that has just failed or because they cannot hear of each other.
Claim = Literal["granted", "taken", "off"]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A whole answer, as it was given. Times are in seconds.

    Attributes:
        took: how long the model wrote.
        life: how long it is kept.
        left: what is left of that.
    """

    pieces: Sequence[TextDelta | ToolCallDelta]
    end: Finished
    took: float
    life: float
    left: float

    @property
    def age(self) -> float:
        """How long ago the answer was given."""
        return max(0.0, self.life - self.left)


class AnswerCache(Protocol):
    """Keeps answers for all processes, and knows which of them is getting one. It never raises.

    While it is out of reach, nothing is found, nothing is kept, and every claim is `off`.
    """

    async def find(self, key: str) -> KeptAnswer | None:
        """Find an answer."""

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Keep an answer for its life, in place of an older one; one that is too large is not kept."""

    async def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Take on getting an answer, for so many seconds; the token says who does."""

    async def renew(self, key: str, token: str, seconds: float) -> None:
        """Hold a claim for so many seconds from now."""

    async def release(self, key: str, token: str, *, call_off: bool) -> None:
        """Give a claim back.

        Args:
            key: of the answer.
            token: whose claim it is; that of another stays.
            call_off: where no answer is kept now, those who wait, or come in the next moments, shall not take turns in
                trying, but each go on alone.
        """


def answer_key(
    request: ModelRequest, *, alias: str, model: LanguageModel, checks: Mapping[str, Any], caller: Caller
) -> str:
    """Name an answer by its owner and everything that it hangs on; a field that requests are given later is among that.

    Stored prompts are in the messages, word by word.

    Args:
        request: as the model will see it.
        alias: the name that the caller uses for the model.
        model: the chain that it stands for.
        checks: the settings of the guardrails, which may change what an answer says.
        caller: whose answer it is.
    """
    parts = {
        "format": FORMAT,
        "owner": str(caller.id),
        "alias": alias,
        "models": [model.name, *model.stand_ins],
        "checks": checks,
        "request": request,
    }
    # Keys stay in their order: that of a JSON Schema's properties is one that models write by.
    return f"{caller.id}:{sha256(json.dumps(parts, default=_members, separators=(',', ':')).encode()).hexdigest()}"


def _members(part: Any) -> dict[str, Any]:  # noqa: ANN401 - a request, or a part of one
    """Take a part of a request apart without copying what it holds: schemas may be large."""
    return {field.name: getattr(part, field.name) for field in fields(part)}
