"""The operator's commands for models: `app models --help` lists them."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import AppError, ModelNotFoundError

if TYPE_CHECKING:
    from app.model_catalogue import Choice, ModelFolder, Timing

models = typer.Typer(help="Fetch models, look at them, try them.", no_args_is_help=True)

HUB = "https://huggingface.co"
REPORT_BYTES = 50_000_000
MEGABYTE = 1_000_000
# Digits of a checksum to print.
SHORT = 12

Name = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A name, or name@version; all if not given.")]
Seconds = Annotated[
    float | None,
    typer.Option(min=0.1, max=600, help="Time to choose lanes in, for each model; as at start-up if it is left out."),
]


def _matching(pattern: str, meaning: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise typer.BadParameter(f"{value!r} is not {meaning}.")
        return value

    return check


Repository = Annotated[
    str,
    typer.Argument(
        callback=_matching(r"(\w[\w.-]*/)?\w[\w.-]*", "the name of a repository"), help="Such as owner/name."
    ),
]
Revision = Annotated[
    str,
    typer.Option(
        callback=_matching(r"[0-9a-f]{40}", "a commit of 40 hexadecimal digits"),
        help="The commit to take the file from; branches and tags move, commits do not.",
    ),
]
Sha256 = Annotated[
    str,
    typer.Option(
        "--sha256",
        callback=_matching(r"[0-9a-f]{64}", "a SHA-256 of 64 hexadecimal digits"),
        help="What the file must have.",
    ),
]
File = Annotated[
    str,
    typer.Option(
        callback=_matching(r"(?!\.\.?(/|$))[^/\\]+(/(?!\.\.?(/|$))[^/\\]+)*", "a path in a repository"),
        help="Its path in the repository.",
    ),
]
Into = Annotated[Path, typer.Option(file_okay=False, help="The model's folder, such as models/NAME; made if missing.")]
SaveAs = Annotated[
    str | None,
    typer.Option(
        "--as",
        callback=_matching(r"(?!\.\.?$)[^/\\]+", "a file name"),
        help="Its name there. Default: as in the repository.",
    ),
]
Endpoint = Annotated[
    str,
    typer.Option(
        envvar="HF_ENDPOINT", callback=_matching(r"https?://[^/\s]\S*", "an address of a hub"), help="Where the hub is."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace another file of that name.")]


@models.command("list")
def list_() -> None:
    """List the models that the service opens, as their manifests declare them; `verify` checks the files."""
    from app.command_settings import load_settings
    from app.model_catalogue import find_models

    rows: list[Sequence[str]] = [("NAME", "VERSION", "TASK", "MB", "SHA256", "FOLDER")]
    for model in find_models(load_settings()):
        try:
            rows.append(_row(model))
        except AppError as error:
            _fail(str(error))
    _print_table(rows)


@models.command()
def verify() -> None:
    """Check every model's files, open it and run it, as the service does when it starts.

    Ends with status 1 if the service would not start with one of them.
    """
    from app.command_settings import load_settings
    from app.inference.model_folders import check_identities
    from app.model_catalogue import find_models
    from app.model_catalogue import verify as verify_model

    settings = load_settings()
    names: list[tuple[str, str]] = []
    failed = False
    for model in find_models(settings):
        try:
            declared = model.read()
            provider = asyncio.run(verify_model(model, settings))
            check_identities([*names, (declared.name, declared.version)])
        except AppError as error:
            _fail(f"{model.folder}: {error}")
            failed = True
        else:
            names.append((declared.name, declared.version))
            typer.echo(f"{declared.name}@{declared.version} is ready: {provider}, {model.folder}")
    if failed:
        raise typer.Exit(1)


@models.command()
def bench(model: Name = None, *, seconds: Seconds = None) -> None:
    """Measure batches, and show the number of lanes and the batch size that the service would choose."""
    from app.command_settings import load_settings
    from app.model_catalogue import bench as bench_model
    from app.model_catalogue import find_models

    settings = load_settings()
    for each in _named(find_models(settings), model):
        declared = each.read()
        typer.echo(f"Measuring {declared.name}@{declared.version} …", err=True)
        choice, timings = asyncio.run(bench_model(each, settings, seconds))
        _print_bench(f"{declared.name}@{declared.version}", choice, timings)


@models.command()
def pull(  # noqa: PLR0913 - options of the command
    repository: Repository,
    *,
    revision: Revision,
    sha256: Sha256,
    into: Into,
    file: File = "model.onnx",
    save_as: SaveAs = None,
    endpoint: Endpoint = HUB,
    force: Force = False,
) -> None:
    """Download a file of a model from a hub; afterwards, no network is needed.

    Running the command again resumes an interrupted download. The file gets its name only once its SHA-256 is
    verified. HF_TOKEN is sent, if it is set, for private repositories.
    """
    from app.adapters.model_hub import HubFile
    from app.adapters.model_hub import pull as pull_file

    target = into / (save_as or PurePosixPath(file).name)
    wanted = HubFile(endpoint.rstrip("/"), repository, revision, file, sha256)
    fetched = pull_file(wanted, target, token=os.environ.get("HF_TOKEN"), force=force, report=_Progress())
    typer.echo(f"{target} is {'there' if fetched else 'there already'}: sha256 {sha256}")


class _Progress:
    """Prints the progress of a download from time to time."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, done: int, total: int | None) -> None:
        if abs(done - self._told) >= REPORT_BYTES:
            self._told = done
            of = f" of {total // MEGABYTE}" if total else ""
            typer.echo(f"{done // MEGABYTE}{of} MB …", err=True)


def _named(found: Sequence["ModelFolder"], name: str | None) -> list["ModelFolder"]:
    if name is None:
        return list(found)
    chosen = [each for each in found if name in _names(each)]
    if not chosen:
        raise ModelNotFoundError(f"There is no model {name!r}: `app models list` shows the available ones.")
    return chosen


def _names(model: "ModelFolder") -> set[str]:
    try:
        declared = model.read()
    except AppError:
        return set()
    return {declared.name, f"{declared.name}@{declared.version}"}


def _row(model: "ModelFolder") -> Sequence[str]:
    from app.inference.manifest import GRAPH

    declared = model.read()
    size = "missing" if model.size is None else f"{model.size / MEGABYTE:.1f}"
    checksum = declared.files.get(GRAPH, "")[:SHORT] or "undeclared"
    return declared.name, declared.version, model.task, size, checksum, str(model.folder)


def _print_bench(identity: str, choice: "Choice", timings: Sequence["Timing"]) -> None:
    rows = [(choice.unit.upper(), "P50 MS", f"{choice.unit.upper()}/S")]
    rows += [(str(each.size), f"{each.seconds * 1000:.2f}", f"{each.throughput:.0f}") for each in timings]
    typer.echo(f"{identity} on {choice.provider}")
    _print_table(rows)
    typer.echo(f"lanes {choice.lanes}, threads of each {choice.threads}, batches up to {choice.limit} {choice.unit}\n")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _fail(text: str) -> None:
    # Errors of libraries may have several lines.
    typer.secho(" ".join(text.split()), err=True, fg=typer.colors.RED)
