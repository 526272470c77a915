"""The commands that update an existing project: `update`, `set`, `check` and `relink`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiapi.cli import Json, app
from aiapi.interrupts import interruptible
from aiapi.report import Screen

_PROJECT = "Project directory.  [default: the current one]"
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help=_PROJECT, show_default=False)]
FolderOption = Annotated[Path, typer.Option("--project", metavar="FOLDER", help=_PROJECT, show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")]
Difference = Annotated[bool, typer.Option("--diff", help="Also show the changes line by line.")]
NoLock = Annotated[bool, typer.Option("--no-lock", help="Do not update uv.lock.")]
Yes = Annotated[bool, typer.Option("--yes", help="Confirm that the data has been prepared.")]
HERE = Path()


@app.command()
def update(  # noqa: PLR0913 - one parameter a flag
    folder: Folder = HERE,
    *,
    dry_run: DryRun = False,
    difference: Difference = False,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="Release to update to.  [default: this installation's commit]"),
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Also change an answer; repeatable.")
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", help="Finish the update, if nothing is left to resolve.")
    ] = False,
    yes: Yes = False,
    no_lock: NoLock = False,
    as_json: Json = False,
) -> None:
    """Merge a newer template into a project and keep your edits.

    The merge is tried in a separate worktree, then applied and staged as a whole. Edits that Copier alone would lose
    follow a renamed file or are saved beside it as `.yours`. While conflicts remain the exit code is 1: resolve them,
    then run `aiapi update --continue`. The printed command undoes the update.
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
        list[str], typer.Argument(metavar="KEY=VALUE", help="Answers, like task_queue=arq.", show_default=False)
    ],
    *,
    folder: FolderOption = HERE,
    dry_run: DryRun = False,
    difference: Difference = False,
    yes: Yes = False,
    no_lock: NoLock = False,
    as_json: Json = False,
) -> None:
    """Change an option without changing the template version.

    Code changes as in `aiapi update`. Data steps are printed; those that need the old code come first and must be
    confirmed (`--yes` confirms).
    """
    from aiapi import update as updating  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        request = updating.Request(folder, None, tuple(pairs), dry_run, difference, not no_lock, yes)
        code = updating.change_options(request, screen)
    raise typer.Exit(code)


@app.command()
def check(folder: Folder = HERE, *, as_json: Json = False) -> None:
    """Check for a newer release, and warn if an update would go to an unreleased commit.

    Exit code: 0 up to date, 2 newer release, 1 unknown.
    """
    from aiapi import check as checking  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        code = checking.check(folder, screen)
    raise typer.Exit(code)


@app.command()
def relink(
    new_source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A git URL or folder of the template.", show_default=False)
    ],
    folder: Folder = HERE,
    *,
    as_json: Json = False,
) -> None:
    """Record a new template location, after checking that it has this project's version."""
    from aiapi import relink as relinking  # noqa: PLC0415 - `--help` does not need it

    screen = Screen(as_json)
    with screen.outcome(), interruptible():
        relinking.relink(new_source, folder, screen)
