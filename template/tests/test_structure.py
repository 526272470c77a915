"""Tests of structural rules that no linter checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "app"
MODULES = sorted(SRC.rglob("*.py"))
ENTRIES = {"main.py", "worker.py", "command_settings.py"}
# The complete error hierarchy stays in one file.
CATALOGUE = "errors.py"
STATEMENTS = {"select", "insert", "update", "delete", "text"}


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def sql_imports(tree: ast.AST) -> set[str]:
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {each.name for node in imports if (node.module or "").startswith("sqlalchemy") for each in node.names}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_settings_are_built_in_entries_alone(path: Path) -> None:
    assert name_of(path) in ENTRIES or "Settings" not in calls(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sql_is_written_in_repositories_tables_and_adapters_alone(path: Path) -> None:
    may = path.name in {"repository.py", "models.py"} or name_of(path) in {"database.py", "pages.py"}
    assert may or path.parent.name == "adapters" or not sql_imports(ast.parse(path.read_text())) & STATEMENTS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 250 or name_of(path) == CATALOGUE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_port_is_called_inside_a_transaction(path: Path) -> None:
    for block in transactions(ast.parse(path.read_text())):
        for awaited in awaited_in(block):
            assert is_given_session(awaited), f"line {awaited.lineno}: {ast.unparse(awaited)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_dependencies_of_routes_run_on_the_event_loop(path: Path) -> None:
    tree = ast.parse(path.read_text())
    threaded = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        if ast.unparse(call.func) == "Depends":
            assert threaded.isdisjoint(map(ast.unparse, call.args)), f"line {call.lineno}: a thread for every request"


def transactions(tree: ast.AST) -> Iterator[ast.AsyncWith]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith) and any(".transaction()" in ast.unparse(item) for item in node.items):
            yield node


def awaited_in(block: ast.AsyncWith) -> Iterator[ast.expr]:
    for node in (inner for statement in block.body for inner in ast.walk(statement)):
        match node:
            case ast.Await(value=awaited) | ast.AsyncFor(iter=awaited) | ast.comprehension(iter=awaited, is_async=1):
                yield awaited
            case ast.AsyncWith(items=items):
                yield from (item.context_expr for item in items)


def is_given_session(awaited: ast.expr) -> bool:
    """Return whether the call is a method of the session or is passed the session."""
    if not isinstance(awaited, ast.Call):
        return False
    given = [awaited.func, *awaited.args, *(keyword.value for keyword in awaited.keywords)]
    owner = awaited.func.value if isinstance(awaited.func, ast.Attribute) else None
    return any(isinstance(each, ast.Name) and each.id == "session" for each in (owner, *given))


@pytest.mark.parametrize(
    ("line", "is_fine"),
    [
        ("await session.scalar(statement)", True),
        ("await repository.find(session, key)", True),
        ("await self.files.delete(session_key)", False),
        ("await port.save(key=session.key)", False),
        ("rows = [row async for row in port.rows()]", False),
        ("async for row in port.rows(): pass", False),
        ("async with port.open(): pass", False),
    ],
)
def test_the_check_finds_awaits_without_the_session(line: str, *, is_fine: bool) -> None:
    tree = ast.parse(f"async def use():\n  async with database.transaction() as session:\n    {line}")
    [block] = transactions(tree)
    assert all(map(is_given_session, awaited_in(block))) is is_fine
