"""Gathering a user's answers from flags, `--data` and files, and judging all of them at once."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from aiapi.errors import AnswersError, UsageError
from aiapi.options import NAME, bundled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aiapi.options import Option

# What Copier writes into a project's answers file beside the answers.
_COPIERS_OWN = frozenset({"_commit", "_src_path"})


def gather(
    name: str, flags: Mapping[str, str | None], pairs: Sequence[str], file: Path | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Merge the answers, the more explicit first: the name, then flags and `--data`, then the file.

    Returns:
        The answers, and what contradicts itself or is no answer at all.

    Raises:
        UsageError: When an item of `--data` has no `=`.
        AnswersError: When the file cannot be read as a mapping.
    """
    problems: list[str] = []
    given = {key: value for key, value in flags.items() if value is not None} | {"project_name": name}
    for key, value in map(_pair, pairs):
        if given.setdefault(key, value) != value:
            problems.append(f"{key}: given twice: {given[key]!r} and {value!r}.")
    read = _read(file) if file else {}
    for key, value in read.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            given.setdefault(key, str(value))
        else:
            problems.append(f"{key}: {value!r} in {file} is not text.")
    return given, tuple(problems)


def anew(pairs: Sequence[str], recorded: Mapping[str, str], options: tuple[Option, ...] | None) -> Mapping[str, str]:
    """Return the answers that a project shall have instead of those that it records.

    Raises:
        UsageError: When one of the pairs has no value.
        AnswersError: When the template would refuse one.
    """
    if not pairs:
        return {}
    bare = [pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair]
    if bare:
        raise UsageError(
            f"{', '.join(map(repr, bare))} {'names' if len(bare) == 1 else 'name'} no value.",
            remedy="Write it as KEY=VALUE, like task_queue=arq.",
        )
    others = [pair for pair in pairs if not pair.startswith("project_name=")]
    given, problems = gather(recorded.get("project_name", ""), {}, others, None)
    if len(others) < len(pairs):
        problems = (*problems, "project_name: a project keeps the name that it was made with.")
    del given["project_name"]
    check(given, options, problems)
    return given


def _pair(item: str) -> tuple[str, str]:
    key, separator, value = item.partition("=")
    if not separator or not key:
        raise UsageError(f"--data {item!r} has no value.", remedy="Write it as --data name=value.")
    return key, value


def _read(file: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only with --answers

    remedy = "Give a YAML or JSON file of answers, like `vector_store: qdrant`."
    try:
        content = yaml.safe_load(file.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AnswersError(f"Cannot read {file}: {reason}.", remedy=remedy) from error
    except yaml.YAMLError as error:
        raise AnswersError(f"{file} is neither YAML nor JSON.", remedy=remedy) from error
    if not isinstance(content, dict):
        raise AnswersError(f"{file} holds no answers.", remedy=remedy)
    return {str(key): value for key, value in content.items() if key not in _COPIERS_OWN}


def check(answers: Mapping[str, str], options: tuple[Option, ...] | None, found: Sequence[str] = ()) -> None:
    """Raise `AnswersError` with every unknown key and every value that the template would refuse.

    `found` holds problems that are known already. Without `options` (a template that is not fetched yet) only
    those count and the project's name, which is that of a folder whatever the template is; Copier judges the rest.
    """
    rules = [option for option in bundled() if option.name == NAME] if options is None else options
    known = {option.name: option for option in rules}
    problems = list(found)
    if options is not None:
        problems += [_unknown(key, tuple(known)) for key in answers if key not in known]
    validate = _validators()
    problems += filter(None, (_value_problem(known[key], answers[key], validate) for key in answers if key in known))
    refuse(problems)


def refuse(problems: Sequence[str]) -> None:
    """Raise `AnswersError` with the problems, if there are any."""
    if problems:
        count = f"{len(problems)} answers are" if len(problems) > 1 else "One answer is"
        remedy = "`aiapi options` lists what can be chosen."
        raise AnswersError(f"{count} not usable.", remedy=remedy, problems=tuple(sorted(problems)))


def _unknown(key: str, known: tuple[str, ...]) -> str:
    return f"{key}: there is no such option.{_suggestion(key, known)} Valid: {', '.join(known)}."


def _value_problem(option: Option, value: str, validate: Callable[[Option, str], str]) -> str:
    if option.choices and value not in option.values:
        hint = _suggestion(value, option.values)
        return f"{option.name}: {value!r} is not a choice.{hint} Valid: {', '.join(option.values)}."
    message = validate(option, value) if option.validator else ""
    return f"{option.name}: {value!r} is not valid. {message}" if message else ""


def _suggestion(word: str, valid: tuple[str, ...]) -> str:
    folded = {choice.lower().replace("_", "-"): choice for choice in valid}
    close = get_close_matches(word.lower().replace("_", "-"), folded, n=1)
    return f" Did you mean {folded[close[0]]}?" if close else ""


def _validators() -> Callable[[Option, str], str]:
    """Render validators as Copier does: its filters, in a sandbox, empty when the value is good."""
    from jinja2 import StrictUndefined  # noqa: PLC0415 - 50 ms that only `new` pays
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    environment = SandboxedEnvironment(undefined=StrictUndefined, extensions=extensions)
    return lambda option, value: environment.from_string(option.validator).render({option.name: value}).strip()
