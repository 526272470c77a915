"""Collect a user's answers from flags, `--data` and files, and check all of them at once."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from aiapi.errors import AnswersError, UsageError
from aiapi.options import NAME, bundled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aiapi.options import Option

# Keys of a project's answers file that are not answers.
_COPIERS_OWN = frozenset({"_commit", "_src_path"})


def gather(
    name: str, flags: Mapping[str, str | None], pairs: Sequence[str], file: Path | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Merge the answers: the name, flags and `--data` take precedence over the file.

    Returns:
        The answers, and the problems: contradictions, and values that are not text.

    Raises:
        UsageError: If an item of `--data` has no `=`.
        AnswersError: If the file is not a mapping.
    """
    problems: list[str] = []
    given = {key: value for key, value in flags.items() if value is not None} | {"project_name": name}
    for key, value in map(_pair, pairs):
        if given.setdefault(key, value) != value:
            problems.append(f"{key}: given twice, as {given[key]!r} and {value!r}.")
    read = _read(file) if file else {}
    for key, value in read.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            given.setdefault(key, str(value))
        else:
            problems.append(f"{key}: {value!r} in {file} is not text.")
    return given, tuple(problems)


def changed_answers(
    pairs: Sequence[str], recorded: Mapping[str, str], options: tuple[Option, ...] | None
) -> Mapping[str, str]:
    """Return the answers to change in a project, from pairs like `task_queue=arq`.

    Raises:
        UsageError: If a pair has no value.
        AnswersError: If the template would reject an answer.
    """
    if not pairs:
        return {}
    bare = [pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair]
    if bare:
        raise UsageError(
            f"{', '.join(map(repr, bare))} {'has' if len(bare) == 1 else 'have'} no key or no value.",
            remedy="Write it as KEY=VALUE, like task_queue=arq.",
        )
    others = [pair for pair in pairs if not pair.startswith("project_name=")]
    given, problems = gather(recorded.get("project_name", ""), {}, others, None)
    if len(others) < len(pairs):
        problems = (*problems, "project_name: the name of a project cannot be changed.")
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

    remedy = "Pass a YAML or JSON file of answers, like `vector_store: qdrant`."
    try:
        content = yaml.safe_load(file.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AnswersError(f"Cannot read {file}: {reason}.", remedy=remedy) from error
    except yaml.YAMLError as error:
        raise AnswersError(f"{file} is neither YAML nor JSON.", remedy=remedy) from error
    if not isinstance(content, dict):
        raise AnswersError(f"{file} contains no answers.", remedy=remedy)
    return {str(key): value for key, value in content.items() if key not in _COPIERS_OWN}


def check(answers: Mapping[str, str], options: tuple[Option, ...] | None, found: Sequence[str] = ()) -> None:
    """Raise `AnswersError` with every unknown key and every value that the template would reject.

    `found` are problems found before. Without `options`, as the template is not fetched yet, only these and the
    project's name are checked, which must be a folder name in any template; Copier checks the rest.
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
    """Raise `AnswersError` if there are problems."""
    if problems:
        count = f"{len(problems)} answers are" if len(problems) > 1 else "One answer is"
        remedy = "`aiapi options` lists the choices."
        raise AnswersError(f"{count} invalid.", remedy=remedy, problems=tuple(sorted(problems)))


def _unknown(key: str, known: tuple[str, ...]) -> str:
    return f"{key}: no such option.{_suggestion(key, known)} Valid: {', '.join(known)}."


def _value_problem(option: Option, value: str, validate: Callable[[Option, str], str]) -> str:
    if option.choices and value not in option.values:
        hint = _suggestion(value, option.values)
        return f"{option.name}: {value!r} is not a valid choice.{hint} Valid: {', '.join(option.values)}."
    message = validate(option, value) if option.validator else ""
    return f"{option.name}: {value!r} is not valid. {message}" if message else ""


def _suggestion(word: str, valid: tuple[str, ...]) -> str:
    folded = {choice.lower().replace("_", "-"): choice for choice in valid}
    close = get_close_matches(word.lower().replace("_", "-"), folded, n=1)
    return f" Did you mean {folded[close[0]]}?" if close else ""


def _validators() -> Callable[[Option, str], str]:
    """Return a function that renders validators as Copier does; the result is empty if the value is valid."""
    from jinja2 import StrictUndefined  # noqa: PLC0415 - takes 50 ms
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    environment = SandboxedEnvironment(undefined=StrictUndefined, extensions=extensions)
    return lambda option, value: environment.from_string(option.validator).render({option.name: value}).strip()
