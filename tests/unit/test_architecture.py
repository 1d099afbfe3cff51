"""The house stands as DESIGN section 3 draws it: floors, rooms, no cycles, a pure core, a cheap front door."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.front_source import (
    FLOORS,
    MODULES,
    SOURCE,
    Import,
    cycle_in,
    floor_of,
    imports_of,
    room_of,
    tree_of,
)

import resilix

CORE = sorted(name for name in MODULES if room_of(name) == "resilix.core")
OURS = {name: [one for one in imports_of(name) if one.imported.split(".")[0] == "resilix"] for name in MODULES}

LATE_IMPORTS = {
    # (module, imported): why it may be imported inside a function
    ("resilix.core.breaker", "resilix.core.snapshot"): "programs that never look at a breaker do not pay for it",
    ("resilix.core.options", "difflib"): "only for a misspelt option",
    ("resilix.events", "logging"): "only when user code is broken",
    ("resilix.events", "resilix.event_types"): "programs to which nobody listens do not pay for it",
    ("resilix.runtime", "anyio"): "programs without async do not pay for it",
    ("resilix.runtime", "asyncio"): "programs without async do not pay for it",
    ("resilix.runtime", "trio"): "optional dependency",
    ("resilix.workers", "queue"): "programs without a timeout for sync calls do not pay for it",
    ("resilix.policies.timeout", "asyncio"): "programs without async do not pay for it",
    ("resilix.policies.timeout", "resilix.ledger"): "imports asyncio",
    ("resilix.testing.conductor", "trio"): "optional dependency",
    ("resilix.testing.driver", "anyio.lowlevel"): "tests without async do not pay for it",
    ("resilix.testing.driver", "asyncio"): "tests without async do not pay for it",
    ("resilix.testing.driver", "trio"): "optional dependency",
    ("resilix.testing.inquiry", "asyncio"): "tests without async do not pay for it",
    ("resilix.testing.inquiry", "trio"): "optional dependency",
    ("resilix.testing.loops", "trio"): "optional dependency",
    ("resilix.testing.loops", "trio.testing"): "optional dependency",
    ("resilix.top.command", "rich.live"): "optional dependency",
    ("resilix.top.view", "rich.console"): "optional dependency",
    ("resilix.top.view", "rich.table"): "optional dependency",
    ("resilix.top.view", "rich.text"): "optional dependency",
    ("resilix.demo.command", "resilix.demo.processes"): "optional dependencies",
    ("resilix.demo.command", "resilix.demo.run"): "optional dependencies",
    ("resilix.testing.simulation.picture", "matplotlib"): "optional dependency",
    ("resilix.testing.simulation.picture", "matplotlib.backends.backend_agg"): "optional dependency",
    ("resilix.testing.simulation.picture", "matplotlib.figure"): "optional dependency",
    ("resilix.testing.simulation.result", "resilix.testing.simulation.picture"): "optional dependency",
    ("resilix.demo.run", "resilix.demo.picture"): "optional dependency; loading it would disturb the run",
}

LONG_FILES: dict[str, str] = {}
MOST_LINES = 350

FORBIDDEN_IN_CORE = {"asyncio", "anyio", "trio", "time", "logging", "random", "resilix.clock", "resilix.events"}
HEAVY = (
    "asyncio", "anyio", "trio", "httpx", "httpx2", "rich", "matplotlib", "numpy", "prometheus_client", "opentelemetry",
    "redis", "resilix.testing", "resilix.telemetry", "resilix.demo", "resilix.ledger",
)  # fmt: skip


def test_every_module_is_in_a_room() -> None:
    """A new module has to be given a floor before it can be merged."""
    assert {room_of(name) for name in MODULES} <= set(FLOORS)


def upward(one: Import) -> bool:
    """Whether an import goes to a higher floor or into another room of the same floor."""
    here, there = room_of(one.importer), room_of(one.imported)
    if here == there or one.importer == "resilix":
        return FLOORS[there] > FLOORS[here]
    if there == "resilix":
        return FLOORS[here] < 4  # the front door is for those who live outside
    return FLOORS[there] > FLOORS[here] or (FLOORS[there] == FLOORS[here] and FLOORS[here] not in (2, 5))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_only_from_lower_floors(module: str) -> None:
    """Type-only imports count too: who names a type depends on it."""
    wrong = [f"line {one.line}: {one.imported}" for one in OURS[module] if upward(one)]
    assert not wrong, f"{module} (floor {floor_of(module)}) imports {wrong}"


def test_the_check_of_floors_can_fail() -> None:
    """A core that reads a policy, and a policy that goes through the front door, would be seen."""
    for importer, text in (
        ("resilix.core.window", "from resilix.policies.base import Policy"),
        ("resilix.core.window", "from resilix import events"),
        ("resilix.policies.base", "import resilix"),
        ("resilix.errors", "from resilix.clock import SYSTEM"),
        ("resilix.telemetry.logs", "def f():\n    from resilix.testing import virtual_time"),
    ):
        found = imports_of(importer, ast.parse(text))
        assert [upward(one) for one in found] == [True], (importer, text)


def test_there_are_no_cycles() -> None:
    """Neither at the top of the modules nor through imports inside functions; type-only ones aside."""
    edges = {name: {one.imported for one in ones if not one.typing_only} for name, ones in OURS.items()}
    assert cycle_in(edges) == []
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_imports_inside_functions_are_listed_with_a_reason() -> None:
    """They exist only to keep a dependency optional or the import cheap. A stale entry fails as well."""
    late = {(one.importer, one.imported) for name in MODULES for one in imports_of(name) if one.function}
    assert late == set(LATE_IMPORTS)


@pytest.mark.parametrize("module", CORE)
def test_the_core_is_pure(module: str) -> None:
    """No async, no clock, no chance, no logging, no events: it is told the time and the outcomes."""
    for node in ast.walk(tree_of(module)):
        assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)), node.lineno
        if isinstance(node, ast.Name):
            assert node.id not in ("sleep", "monotonic", "print"), node.lineno
    imported = {one.imported for one in imports_of(module)}
    assert not imported & FORBIDDEN_IN_CORE
    assert not {name.split(".")[0] for name in imported} & FORBIDDEN_IN_CORE


def test_only_the_runtime_sleeps() -> None:
    """Waiting between attempts happens in one module (the tools for tests aside)."""
    sleepers: set[str] = set()
    for name in MODULES:
        if floor_of(name) >= 5:
            continue
        for node in ast.walk(tree_of(name)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "asyncio.sleep", "anyio.sleep"):
                sleepers.add(name)
    tools = {"resilix.testing.crowd", "resilix.testing.conductor"}
    server = {"resilix.testing.fault_connection", "resilix.testing.fault_engine"}
    assert sleepers <= {"resilix.runtime"} | tools | server
    assert "resilix.runtime" in sleepers


def test_files_stay_small() -> None:
    """A file near 300 lines can be read in one sitting; the exceptions are named."""
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    too_long = {name for name, length in lengths.items() if length > MOST_LINES}
    assert too_long <= set(LONG_FILES), {name: lengths[name] for name in too_long - set(LONG_FILES)}


def test_the_import_is_cheap() -> None:
    """``import resilix`` brings in no event loop, no optional dependency and none of the upper floors."""
    code = "import sys, resilix; print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "resilix.policies.breaker" in loaded
    assert loaded.isdisjoint(HEAVY)


PUBLIC = sorted(resilix.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented_with_an_example(name: str) -> None:
    """The first line says what it is for, and there is something to copy."""
    documented = inspect.getdoc(getattr(resilix, name)) or ""
    first, _, rest = documented.partition("\n")
    assert first.endswith((".", "::")), first
    assert "Example::" in rest


METHODS = sorted(
    f"{name}.{member}"
    for name in PUBLIC
    if isinstance(getattr(resilix, name), type)
    for member, value in vars(getattr(resilix, name)).items()
    if not member.startswith("_") and callable(getattr(value, "__func__", value))
)


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_is_documented(name: str) -> None:
    """A member that can be called says what it does."""
    owner, member = name.split(".")
    documented = inspect.getdoc(getattr(getattr(resilix, owner), member))
    assert documented
    assert documented.splitlines()[0].rstrip().endswith((".", ":", ","))


def test_the_source_is_where_we_look() -> None:
    """The tests above read the package that is imported, not a copy of it."""
    assert Path(resilix.__file__).parent == SOURCE
