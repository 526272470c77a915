"""The command line of `aiapi`: each command parses its arguments here and does its work in another module."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Any

import typer

from aiapi import git, options
from aiapi.errors import UsageError
from aiapi.interrupts import interruptible
from aiapi.report import Screen

# Marks the flags that answer questions of the template.
ANSWERS = "Answers"
# Plain help: the rich one costs three times as much as loading Typer itself.
app = typer.Typer(
    help="Start a production AI service in five minutes, and keep it current for years.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _answer(name: str) -> Any:  # noqa: ANN401 - what typer.Option says it returns
    """Define the flag that answers one question of the template, with its choices."""
    option = next((option for option in options.bundled() if option.name == name), None)
    values = list(option.values) if option else []
    return typer.Option(
        "--" + name.replace("_", "-"),
        help=f"{option.help}." if option else "An option of the template.",
        metavar="|".join(values) or "TEXT",
        autocompletion=lambda incomplete: [value for value in values if value.startswith(incomplete)],
        rich_help_panel=ANSWERS,
    )


def _version(asked: bool) -> None:  # noqa: FBT001 - the shape of a Typer callback
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - only for --version

        typer.echo(f"aiapi {version('aiapi')}")
        raise typer.Exit


@app.callback()
def start(
    *,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Start a production AI service in five minutes, and keep it current for years."""
    git.clear_inherited_variables()


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def new(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the service.", show_default=False)],
    *,
    defaults: Annotated[bool, typer.Option("--defaults", help="Do not prompt; use defaults.")] = False,
    vector_store: Annotated[str | None, _answer("vector_store")] = None,  # noqa: ARG001 - in the context
    task_queue: Annotated[str | None, _answer("task_queue")] = None,  # noqa: ARG001
    inference: Annotated[str | None, _answer("inference")] = None,  # noqa: ARG001
    license_: Annotated[str | None, _answer("license")] = None,  # noqa: ARG001
    python_version: Annotated[str | None, _answer("python_version")] = None,  # noqa: ARG001
    author: Annotated[str | None, _answer("author")] = None,  # noqa: ARG001
    description: Annotated[str | None, _answer("description")] = None,  # noqa: ARG001
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", metavar="KEY=VALUE", help="Answer any question; repeatable.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", metavar="FILE", help="A YAML or JSON file of answers.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Project directory.  [default: ./NAME]")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="SOURCE", help="Use another template: a folder or git URL.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be created; write nothing.")] = False,
    no_lock: Annotated[bool, typer.Option("--no-lock", help="Do not create uv.lock.")] = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="Do not create a git repository.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Install and start the service; Ctrl-C stops it.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port for --run.")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Create a new service: render it, lock its dependencies, make the first commit."""
    from aiapi import new as making  # noqa: PLC0415 - `--help` does not need it

    request = making.Request(
        name=name,
        flags=_answers_given(context),
        pairs=tuple(data or ()),
        file=answers,
        into=into,
        template=template,
        defaults=defaults,
        dry_run=dry_run,
        lock=not no_lock,
        repository=not no_git,
        run=run,
        port=port,
    )
    screen = Screen(as_json, quiet)
    with screen.outcome(), interruptible():
        code = making.new(request, screen)
    raise typer.Exit(code)


def _answers_given(context: typer.Context) -> dict[str, str | None]:
    """Return the value of each flag that answers a question, by the question's name."""
    flags = [each for each in context.command.params if getattr(each, "rich_help_panel", None) == ANSWERS]
    return {each.opts[0].removeprefix("--").replace("-", "_"): context.params[str(each.name)] for each in flags}


@app.command("options")
def show_options(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """List the options and their trade-offs."""
    screen = Screen(as_json)
    with screen.outcome():
        if as_json and as_markdown:
            raise UsageError("--json and --markdown cannot be combined.", remedy="Leave one of them out.")
    if as_markdown:
        typer.echo(options.as_markdown(options.bundled()), nl=False)
        return
    screen.result(options.as_data(options.bundled()))
    for option in options.bundled():
        if option.name == options.NAME:
            continue
        screen.say(f"{option.flag}  {option.help}", "bold")
        if not option.choices:
            screen.say(f"    free text (default: {option.default})")
        width = max((len(value) for value in option.values), default=0)
        for choice in option.choices:
            mark = "*" if choice.value == option.default else " "
            meaning = f"{choice.title}: {choice.cost}" if choice.cost else choice.title
            screen.say(f"  {mark} {choice.value:<{width}}  {meaning}".rstrip())
    screen.say("\n* default")


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Check this machine and, inside a project, whether it can be updated."""
    from aiapi import doctor as checks  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome():
        ready = checks.report(screen)
    raise typer.Exit(0 if ready else 1)


# Imported last, because it adds its commands to `app`.
from aiapi import update_commands  # noqa: E402, F401
