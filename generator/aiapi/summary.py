"""Report what `aiapi new` created, how to create it again, and what to do next."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from aiapi.create import Created
    from aiapi.manifest import Manifest
    from aiapi.new_project import NewProject
    from aiapi.report import Screen

PURPOSES = {
    "src": "the service: one package per feature, ports and adapters",
    "migrations": "the database schema",
    "tests": "tests; they need neither network nor Docker",
    "docs": "architecture, deployment and operations",
    "deploy": "deployment to production",
    "models": "the bundled models, each with its card",
    "devstack": "starts the servers for development and tests",
    ".github": "continuous integration",
}


def as_data(project: NewProject, created: Created, command: str, *, dry_run: bool) -> dict[str, Any]:
    """Describe the result for `--json`."""
    return {
        "ok": created.ok,
        "dry_run": dry_run,
        "name": project.name,
        "path": str(project.destination),
        "answers": created.rendered.answers,
        "template": {"source": created.rendered.template, "version": created.rendered.commit},
        "files": created.manifest.files,
        "file_count": len(created.manifest.files),
        "bytes": created.manifest.size,
        "dependencies": list(created.manifest.dependencies),
        "containers": created.manifest.containers,
        "commit": created.commit,
        "steps": [{"name": s.name, "ok": s.ok, "detail": s.detail, "remedy": s.remedy} for s in created.steps],
        "warnings": [*project.source.warnings, *created.warnings],
        "command": command,
        "next": next_commands(project.destination),
    }


def next_commands(destination: Path) -> list[str]:
    """Return the next three commands for the user."""
    shown = os.path.relpath(destination)
    return [f"cd {shlex.quote(shown)}", "uv run poe dev", "uv run poe test"]


def show_preview(screen: Screen, project: NewProject, created: Created, command: str) -> None:
    """Print what `aiapi new` would create."""
    manifest = created.manifest
    screen.say(f"Would create {project.name} in {project.destination}: {_amount(manifest)}.", "bold")
    for path, size in manifest.files.items():
        screen.say(f"  {size:>9,}  {path}")
    screen.say(f"\n{len(manifest.dependencies)} dependencies:", "bold")
    for requirement in manifest.dependencies:
        screen.say(f"  {requirement}")
    screen.say(f"\n{len(manifest.containers)} containers in compose.yaml:", "bold")
    for name, image in manifest.containers.items():
        screen.say(f"  {name}: {image}")
    screen.say("\nTo create it:", "bold")
    screen.say(f"  {command}")


def show(screen: Screen, project: NewProject, created: Created, command: str) -> None:
    """Print what was created, and the next commands."""
    screen.say(f"Created {project.name} in {project.destination}: {_amount(created.manifest)}.", "bold green")
    for line in _tree(created.manifest):
        screen.say(f"  {line}")
    done = [step.name for step in created.steps if step.ok]
    if done:
        screen.say(f"Also done: {', '.join(done)}{f' {created.commit[:10]}' if created.commit else ''}.")
    screen.say("\nThe same again, without prompts:", "bold")
    screen.say(f"  {command}")
    screen.say("\nNext:", "bold")
    for line in next_commands(project.destination):
        screen.say(f"  {line}")


def _tree(manifest: Manifest) -> list[str]:
    """List the top-level folders with their purpose, then the top-level files in one line."""
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
