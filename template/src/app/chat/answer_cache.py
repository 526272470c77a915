"""The port of the answer cache, and the keys under which answers are stored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Literal, Protocol

from app.auth.caller import Caller
from app.chat.ports import Finished, LanguageModel, ModelRequest, TextDelta, ToolCallDelta

FORMAT = 1  # version of stored answers and of keys; changing it invalidates everything stored before

# Who generates an answer that several requests want at once: `granted` is this request, `taken` another. `off` means
# that requests do not wait, because the last attempt has just failed or the cache is unreachable.
Claim = Literal["granted", "taken", "off"]


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A complete answer. Times are in seconds.

    Attributes:
        took: time that the model needed for it.
        life: total time for which it is cached.
        left: time until it expires.
    """

    pieces: Sequence[TextDelta | ToolCallDelta]
    end: Finished
    took: float
    life: float
    left: float

    @property
    def age(self) -> float:
        """Seconds since the answer was cached."""
        return max(0.0, self.life - self.left)


class AnswerCache(Protocol):
    """Stores answers for all processes and tracks which request is generating one. Its methods never raise.

    While the store is unreachable, nothing is found or stored, and every claim is `off`.
    """

    async def find(self, key: str) -> CachedAnswer | None:
        """Return the cached answer, or None."""

    async def keep(self, key: str, answer: CachedAnswer) -> None:
        """Store an answer for its `life`, replacing an older one. Answers that are too large are not stored."""

    async def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Claim the right to generate an answer for a number of seconds; the token identifies the holder."""

    async def renew(self, key: str, token: str, seconds: float) -> None:
        """Extend a claim to this many seconds from now."""

    async def release(self, key: str, token: str, *, call_off: bool) -> None:
        """Release a claim.

        Args:
            key: key of the answer.
            token: holder of the claim; claims of other holders stay.
            call_off: if no answer is stored by now, stop waiting requests, and new ones for a moment, from claiming it
                one after the other: each asks the model itself.
        """


def answer_key(
    request: ModelRequest, *, alias: str, model: LanguageModel, checks: Mapping[str, Any], caller: Caller
) -> str:
    """Return the cache key of an answer: its owner, and a hash of everything that the answer depends on.

    The hash covers every field of the request, also fields added later. The text of a stored prompt is in the messages.

    Args:
        request: the request as the model will see it.
        alias: the model name that the caller uses.
        model: the chain of models behind that name.
        checks: the settings of the guardrails, which may change the answer.
        caller: the owner of the answer.
    """
    parts = {
        "format": FORMAT,
        "owner": str(caller.id),
        "alias": alias,
        "models": [model.name, *model.fallbacks],
        "checks": checks,
        "request": request,
    }
    # Keys are not sorted: models write the properties of a JSON Schema in its order.
    return f"{caller.id}:{sha256(json.dumps(parts, default=_members, separators=(',', ':')).encode()).hexdigest()}"


def _members(part: Any) -> dict[str, Any]:  # noqa: ANN401 - a request, or a part of one
    """Return the fields of a dataclass without copying their values: schemas may be large."""
    return {field.name: getattr(part, field.name) for field in fields(part)}
