"""The commands of `aiapi`; each reads its arguments here and does its work elsewhere."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Any

import typer

from aiapi import git, options
from aiapi.errors import UsageError
from aiapi.interrupts import interruptible
from aiapi.report import Screen

# Plain help: the rich one costs three times as much as loading Typer itself.
app = typer.Typer(
    help="Start a production AI service in five minutes, and keep it current for years.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _answer(name: str) -> Any:  # noqa: ANN401 - what typer.Option says it returns
    """Make the flag that answers one question of the template, with its choices."""
    option = next((option for option in options.bundled() if option.name == name), None)
    values = list(option.values) if option else []
    return typer.Option(
        "--" + name.replace("_", "-"),
        help=f"{option.help}." if option else "An option of the template.",
        metavar="|".join(values) or "TEXT",
        autocompletion=lambda incomplete: [value for value in values if value.startswith(incomplete)],
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
    git.forget_surroundings()


Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]


@app.command()
def new(  # noqa: PLR0913 - one parameter a flag
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the service.", show_default=False)],
    *,
    defaults: Annotated[bool, typer.Option("--defaults", help="Ask nothing: take the default of the rest.")] = False,
    vector_store: Annotated[str | None, _answer("vector_store")] = None,
    task_queue: Annotated[str | None, _answer("task_queue")] = None,
    inference: Annotated[str | None, _answer("inference")] = None,
    license_: Annotated[str | None, _answer("license")] = None,
    python_version: Annotated[str | None, _answer("python_version")] = None,
    author: Annotated[str | None, _answer("author")] = None,
    description: Annotated[str | None, _answer("description")] = None,
    data: Annotated[list[str] | None, typer.Option("--data", "-d", metavar="KEY=VALUE", help="Any answer.")] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", metavar="FILE", help="A YAML or JSON file of answers.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="What becomes the project.  [default: ./NAME]")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="SOURCE", help="Another template: folder or git URL.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made; write nothing.")] = False,
    no_lock: Annotated[bool, typer.Option("--no-lock", help="Do not resolve the dependencies.")] = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="Do not start a git repository.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Install and start the service; Ctrl-C stops it.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port for --run.")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")] = False,
) -> None:
    """Make a new service. It is rendered, locked and committed, or nothing is left."""
    from aiapi import new as making  # noqa: PLC0415 - `--help` does not need it

    flags = {
        "vector_store": vector_store,
        "task_queue": task_queue,
        "inference": inference,
        "license": license_,
        "python_version": python_version,
        "author": author,
        "description": description,
    }
    request = making.Request(
        name=name,
        flags=flags,
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


@app.command("options")
def show_options(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON array to stdout.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Write the table that README shows.")] = False,
) -> None:
    """Show what can be chosen and what it costs."""
    screen = Screen(as_json)
    with screen.outcome():
        if as_json and as_markdown:
            raise UsageError("--json and --markdown are two forms of the same.", remedy="Leave one of them out.")
    if as_markdown:
        typer.echo(options.as_markdown(options.bundled()), nl=False)
        return
    screen.result(options.as_data(options.bundled()))
    for option in options.bundled():
        if option.name == options.NAME:
            continue
        screen.say(f"{option.flag}  {option.help}", "bold")
        if not option.choices:
            screen.say(f"    text, by default: {option.default}")
        width = max((len(value) for value in option.values), default=0)
        for choice in option.choices:
            mark = "*" if choice.value == option.default else " "
            meaning = f"{choice.title}: {choice.cost}" if choice.cost else choice.title
            screen.say(f"  {mark} {choice.value:<{width}}  {meaning}".rstrip())
    screen.say("\n* taken when nothing is said")


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Check this machine, and the project in it."""
    from aiapi import doctor as checks  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome():
        ready = checks.report(screen)
    raise typer.Exit(0 if ready else 1)


# It adds its commands to `app`, and so comes last.
from aiapi import upkeep  # noqa: E402, F401
