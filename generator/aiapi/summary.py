"""The report of `aiapi new`: what was made, how to make it again, and what to do next."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from aiapi.create import Made
    from aiapi.manifest import Manifest
    from aiapi.project import Project
    from aiapi.report import Screen

PURPOSES = {
    "src": "the service: one package per feature, ports and adapters",
    "migrations": "the database schema, step by step",
    "tests": "its tests, which need no network and no Docker",
    "docs": "how it is built and run",
    "deploy": "what runs it in production",
    "models": "the models that it ships, each with its card",
    "devstack": "the servers that development and tests start by themselves",
    ".github": "what checks every change",
}


def as_data(project: Project, made: Made, command: str, *, dry_run: bool) -> dict[str, Any]:
    """Describe the result for `--json`."""
    return {
        "ok": made.ok,
        "dry_run": dry_run,
        "name": project.name,
        "path": str(project.destination),
        "answers": made.rendered.answers,
        "template": {"source": made.rendered.template, "version": made.rendered.commit},
        "files": made.manifest.files if dry_run else len(made.manifest.files),
        "bytes": made.manifest.size,
        "dependencies": list(made.manifest.dependencies),
        "containers": made.manifest.containers,
        "commit": made.commit,
        "steps": [{"name": s.name, "ok": s.ok, "detail": s.detail, "remedy": s.remedy} for s in made.steps],
        "warnings": [*project.source.warnings, *made.warnings],
        "command": command,
        "next": next_commands(project.destination),
    }


def next_commands(destination: Path) -> list[str]:
    """Return the three commands that come next."""
    shown = os.path.relpath(destination)
    return [f"cd {shlex.quote(shown)}", "uv run poe dev", "uv run poe test"]


def show_preview(screen: Screen, project: Project, made: Made, command: str) -> None:
    """Say what `aiapi new` would make."""
    manifest = made.manifest
    screen.say(f"Would make {project.name} in {project.destination}: {_amount(manifest)}.", "bold")
    for path, size in manifest.files.items():
        screen.say(f"  {size:>9,}  {path}")
    screen.say(f"\n{len(manifest.dependencies)} dependencies:", "bold")
    for requirement in manifest.dependencies:
        screen.say(f"  {requirement}")
    screen.say(f"\n{len(manifest.containers)} containers in compose.yaml:", "bold")
    for name, image in manifest.containers.items():
        screen.say(f"  {name}: {image}")
    screen.say("\nThis makes it:", "bold")
    screen.say(f"  {command}")


def show(screen: Screen, project: Project, made: Made, command: str) -> None:
    """Say what was made and what comes next, or what is still to be done by hand."""
    screen.say(f"Made {project.name} in {project.destination}: {_amount(made.manifest)}.", "bold green")
    for line in _tree(made.manifest):
        screen.say(f"  {line}")
    done = [step.name for step in made.steps if step.ok]
    if done:
        screen.say(f"Done as well: {', '.join(done)}{f' {made.commit[:10]}' if made.commit else ''}.")
    screen.say("\nThe same again, without questions:", "bold")
    screen.say(f"  {command}")
    screen.say("\nNext:", "bold")
    for line in next_commands(project.destination):
        screen.say(f"  {line}")


def _tree(manifest: Manifest) -> list[str]:
    """List the top folders with their purpose, then the single files in one line."""
    folders: dict[str, int] = {}
    single: list[str] = []
    for path in manifest.files:
        top, separator, _ = path.partition("/")
        if separator:
            folders[top] = folders.get(top, 0) + 1
        else:
            single.append(top)
    width = max((len(name) for name in folders), default=0) + 1
    lines = [
        f"{name + '/':<{width}}  {count:>3} file{'s' if count > 1 else ' '}  {PURPOSES.get(name, '')}".rstrip()
        for name, count in sorted(folders.items(), key=lambda item: (item[0].startswith("."), item[0]))
    ]
    return [*lines, ", ".join(single)] if single else lines


def _amount(manifest: Manifest) -> str:
    return f"{len(manifest.files)} files, {manifest.size / 1e6:.1f} MB"
