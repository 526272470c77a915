"""The commands that keep a project current, beside those of `cli.py`; each does its work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiapi.cli import Json, app
from aiapi.interrupts import interruptible
from aiapi.report import Screen

Project = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The project.  [default: the one here]", show_default=False)
]
InProject = Annotated[
    Path, typer.Option("--project", metavar="FOLDER", help="The project.  [default: the one here]", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")]
Difference = Annotated[bool, typer.Option("--diff", help="Show it line by line as well.")]
NoLock = Annotated[bool, typer.Option("--no-lock", help="Do not resolve the dependencies anew.")]
Yes = Annotated[bool, typer.Option("--yes", help="Say that what the data needs first is done.")]
HERE = Path()


@app.command()
def update(  # noqa: PLR0913 - one parameter a flag
    folder: Project = HERE,
    *,
    dry_run: DryRun = False,
    difference: Difference = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="A release, not the commit of this installation.")
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change an answer on the way.")
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", help="Check that nothing is left to decide, and finish.")
    ] = False,
    yes: Yes = False,
    no_lock: NoLock = False,
    as_json: Json = False,
) -> None:
    """Merge a newer template into a project, edits kept.

    It is tried in a second working tree first and put in place, staged, as a whole. What Copier alone would lose is
    kept: edits move along with a renamed file, or are saved beside it as `.yours`. The exit code is 1 while conflicts
    are left: decide them, then run `aiapi update --continue`. The command that it prints takes everything back.
    """
    from aiapi import update as updating  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        if go_on:
            updating.refuse_with_continue(to=to, pairs=pairs, dry_run=dry_run, difference=difference)
            raise typer.Exit(updating.finish(folder, screen, lock=not no_lock))
        request = updating.Request(folder, to, tuple(pairs or ()), dry_run, difference, not no_lock, yes)
        code = updating.update(request, screen)
    raise typer.Exit(code)


@app.command("set")
def set_(  # noqa: PLR0913 - one parameter a flag
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="An answer, like task_queue=arq.", show_default=False)
    ],
    *,
    folder: InProject = HERE,
    dry_run: DryRun = False,
    difference: Difference = False,
    yes: Yes = False,
    no_lock: NoLock = False,
    as_json: Json = False,
) -> None:
    """Change an option of a project at the template version that it has.

    The code changes as by `aiapi update`. What the data needs is told: steps with the old code come first, and the
    command asks whether they are taken (`--yes` says so).
    """
    from aiapi import update as updating  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        request = updating.Request(folder, None, tuple(pairs), dry_run, difference, not no_lock, yes)
        code = updating.switch(request, screen)
    raise typer.Exit(code)


@app.command()
def check(folder: Project = HERE, *, as_json: Json = False) -> None:
    """Tell whether there is a newer release, and whether an update would lead past it.

    The exit code is 0 when there is none, 2 when there is one, and 1 when it cannot be known.
    """
    from aiapi import check as checking  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        code = checking.check(folder, screen)
    raise typer.Exit(code)


@app.command()
def relink(
    new_source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A git URL or a folder that has the template.", show_default=False)
    ],
    folder: Project = HERE,
    *,
    as_json: Json = False,
) -> None:
    """Record where the template is now.

    Nothing is changed unless the version that the project is made from is there.
    """
    from aiapi import relink as relinking  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        relinking.relink(new_source, folder, screen)
