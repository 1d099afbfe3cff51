"""What the source of resilix imports and says, read with ``ast`` and never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "resilix"

FLOORS = {
    "resilix.errors": 0,
    "resilix.attention": 0,
    "resilix.clock": 0,
    "resilix.locks": -1,  # the cellar: everybody may take one
    "resilix.event_types": 0,
    "resilix.events": 1,
    "resilix.tally": 1,
    "resilix.injection": 1,
    "resilix.core": 1,
    "resilix.runtime": 2,
    "resilix.ledger": 2,
    "resilix.workers": 2,
    "resilix.policies": 3,
    "resilix.sharing": 4,
    "resilix.http": 4,
    "resilix.telemetry": 4,
    "resilix.testing": 4,
    "resilix.httpx": 5,
    "resilix.httpx2": 5,
    "resilix.starlette": 5,
    "resilix.opentelemetry": 5,
    "resilix.asgi": 5,
    "resilix.prometheus": 5,
    "resilix.wsgi": 5,
    "resilix.demo": 5,
    "resilix.top": 5,
    "resilix.whatif": 5,
    "resilix.__main__": 5,
    "resilix": 4,  # the front door: exports what is below it, and nothing below may go through it
}
"""DESIGN, section 3. A room is the longest of these that a module's name begins with."""


@dataclass(frozen=True)
class Import:
    """One module that another imports.

    Attributes:
        importer: The importing module.
        imported: The imported one.
        line: Where.
        function: The function it stands in; empty at the top of the module.
        typing_only: Whether only type checkers see it.
    """

    importer: str
    imported: str
    line: int
    function: str
    typing_only: bool


def module_name(path: Path) -> str:
    """The dotted name of a source file."""
    parts = ["resilix", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def tree_of(module: str) -> ast.Module:
    """Parse one module."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def room_of(module: str) -> str:
    """The room a module belongs to."""
    name = module
    while name not in FLOORS:
        name = name.rpartition(".")[0]
        if not name:
            raise LookupError(f"{module} is in no room of the house")
    if name == "resilix" and module != "resilix":
        raise LookupError(f"{module} is in no room of the house: give it a floor")
    return name


def floor_of(module: str) -> int:
    """The floor a module stands on."""
    return FLOORS[room_of(module)]


def imports_of(module: str, tree: ast.Module | None = None) -> list[Import]:
    """Everything a module imports, wherever it says so."""
    return list(_imports(module, tree or tree_of(module), "", False))


def _imports(module: str, node: ast.AST, function: str, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, function, typing_only)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}:{child.lineno}: write the import in full"
            assert child.module is not None
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(module, inner if inner in MODULES else child.module, child.lineno, function, typing_only)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for part in child.body:
                yield from _imports(module, ast.Module([part], []), function, True)
            for part in child.orelse:
                yield from _imports(module, ast.Module([part], []), function, typing_only)
        else:
            inside = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
            yield from _imports(module, child, inside, typing_only)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def cycle_in(edges: dict[str, set[str]]) -> list[str]:
    """One cycle of a directed graph, or nothing."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for following in sorted(edges.get(node, ())):
            found = walk(following, [*path, node])
            if found:
                return found
        done.add(node)
        return []

    for node in sorted(edges):
        found = walk(node, [])
        if found:
            return found
    return []
