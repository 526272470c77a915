"""Runs the checks on both sides of a language model."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.errors import GuardrailRefusedError
from app.guardrails.banned_phrases import BannedPhrases
from app.guardrails.injection import find_injection
from app.guardrails.output import OutputCheck, OutputGuard
from app.guardrails.personal_data import scan_personal_data
from app.guardrails.ports import ReviewDesk, TextEmbedder
from app.guardrails.settings import CheckSettings, GuardrailSettings
from app.guardrails.spans import redact
from app.guardrails.topics import TopicPolicy, make_topics
from app.guardrails.triggers import Trigger, report
from app.threads import run_in_thread_if_large

AT_ONCE = 500  # characters of all texts together, up to which no thread is used
BYTES_PER_TOKEN = 4  # of UTF-8, approximate: four letters of English, one and a half Chinese characters
STOPPING = ("refuse", "review")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Refuses or redacts the input and output of models, as configured.

    Attributes:
        desk: receives refusals for review; None disables reviews.
        by_model: guardrails of models with their own settings, by the name in requests.
        banned: the compiled banned phrases; None if there are none.
    """

    settings: CheckSettings = field(default_factory=CheckSettings)
    topics: TopicPolicy | None = None
    desk: ReviewDesk | None = None
    by_model: Mapping[str, "Guardrails"] = field(default_factory=dict)
    banned: BannedPhrases | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the banned phrases."""
        phrases = self.settings.banned_phrases
        object.__setattr__(self, "banned", BannedPhrases(phrases) if phrases else None)

    def of(self, model: str) -> "Guardrails":
        """Return the guardrails for the model requested by this name."""
        return self.by_model.get(model, self)

    async def check_input(
        self, texts: Sequence[str], written: Sequence[str], said: str | None, *, owner: Hashable
    ) -> None:
        """Check the texts of a request before they go to a model.

        Args:
            texts: all texts that the model will read.
            written: the untrusted ones among them, written by a user or a tool.
            said: the user's new message, whose topic is checked; None if it was checked before.
            owner: account of the caller.

        Raises:
            GuardrailRefusedError: a check refuses the texts.
            OverloadedError: the topic cannot be determined in time.
        """
        for name, action in self.settings.input.items():
            if action not in STOPPING:
                continue
            reasons: Sequence[str] = ()
            match name:
                case "length":
                    reasons = self._find_excess(texts)
                case "injection":
                    reasons = await process_texts(partial(_screen, written), written)
                case "topics":
                    reasons = await self._find_topics(said, owner)
                case "pii":
                    reasons = await process_texts(partial(_find_kinds, texts), texts)
            if reasons:
                rules = sorted(set(reasons))
                report(Trigger(name, "input", action, len(reasons), rules))
                detail = f"The guardrail `{name}` refuses this request."
                raise GuardrailRefusedError(detail, reasons=rules, for_review=action == "review")

    @property
    def redacts_input(self) -> bool:
        """Whether texts must pass through `redact_input` before a model sees them."""
        return self.settings.input.get("pii") == "redact"

    def redact_input(self, text: str) -> str:
        """Redact personal data, if the settings say so."""
        spans = scan_personal_data(text).spans if self.redacts_input else ()
        if spans:
            report(Trigger("pii", "input", "redact", len(spans), sorted({span.kind for span in spans})))
        return redact(text, spans)

    async def leave_out_suspicious(self, passages: Sequence[Item], text_of: Callable[[Item], str]) -> list[Item]:
        """Return the passages without those that match a rule for prompt injection."""
        if not self.settings.screen_passages:
            return list(passages)
        texts = [text_of(passage) for passage in passages]
        screened = await process_texts(lambda: [find_injection(text) for text in texts], texts)
        for reasons in filter(None, screened):
            report(Trigger("injection", "passage", "leave_out", len(reasons), reasons))
        return [passage for passage, reasons in zip(passages, screened, strict=True) if not reasons]

    def open_output(self) -> OutputGuard | None:
        """Return the checks for a new answer; None if none is enabled."""
        checks = []
        for name, action in self.settings.output.items():
            if action != "off" and name == "pii":
                checks.append(OutputCheck(name, scan_personal_data, action))
            elif action != "off" and name == "banned" and self.banned is not None:
                checks.append(OutputCheck(name, self.banned, action))
        return OutputGuard(checks) if checks else None

    def _find_excess(self, texts: Sequence[str]) -> list[str]:
        if sum(map(len, texts)) > self.settings.max_input_characters:
            return ["characters"]
        tokens = sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN
        return ["tokens"] if tokens > self.settings.max_input_tokens else []

    async def _find_topics(self, said: str | None, owner: Hashable) -> list[str]:
        """Check the topic of the new message only; earlier ones were checked in their own requests."""
        if self.topics is None or said is None:
            return []
        fault = await self.topics.find_fault(said, owner=owner)
        return [fault] if fault else []


def make_guardrails(
    settings: GuardrailSettings, aliases: Mapping[str, str], embedder: TextEmbedder, desk: ReviewDesk
) -> Guardrails:
    """Build the guardrails of every model; `aliases` maps each requested name to its alias."""

    def make(checks: CheckSettings, by_model: Mapping[str, Guardrails]) -> Guardrails:
        return Guardrails(checks, make_topics(checks, embedder), desk, by_model)

    own = {alias: make(settings.of(alias), {}) for alias in settings.by_alias}
    return make(settings, {name: own[alias] for name, alias in aliases.items() if alias in own})


async def process_texts(work: Callable[[], Result], texts: Sequence[str]) -> Result:
    """Run work on texts, in a thread unless they are short."""
    # Empty texts take time as well.
    return await run_in_thread_if_large(work, size=sum(map(len, texts)) + len(texts), at_once=AT_ONCE)


def _screen(texts: Sequence[str]) -> Sequence[str]:
    """Return the rules that the first suspicious text matches."""
    return next(filter(None, map(find_injection, texts)), ())


def _find_kinds(texts: Sequence[str]) -> Sequence[str]:
    return [span.kind for text in texts for span in scan_personal_data(text).spans]
