"""docs/promises.md names a proof for each promise, and every proof it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (\d+)\. (.+)$", PAGE, flags=re.MULTILINE)
SECTIONS = dict(zip([number for number, _ in HEADINGS], re.split(r"^## \d+\. .+$", PAGE, flags=re.M)[1:], strict=True))
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def found_in(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a file, as pytest would collect them; empty if there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return {}
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name: node for node in functions if node.name.startswith("test_")}


def test_all_twelve_promises_are_there() -> None:
    """In order, with nothing left out."""
    assert [int(number) for number, _ in HEADINGS] == list(range(1, 13))


@pytest.mark.parametrize("number", SECTIONS)
def test_every_promise_has_a_proof_that_exists(number: str) -> None:
    """A test that is renamed or removed has to be replaced on the page, and each line of proof names one."""
    lines = [line for line in SECTIONS[number].splitlines() if line.startswith("- ")]
    assert lines, f"promise {number} has no proof"
    for line in lines:
        found = PROOF.match(line, 2)
        assert found, f"promise {number}: {line!r} names no test"
        file, name = found.groups()
        assert name in found_in(file), f"promise {number} names {file}::{name}, which is not there"


def test_no_proof_is_switched_off() -> None:
    """A test that is skipped or expected to fail proves nothing."""
    for file, name in PROOF.findall(PAGE):
        marks = [ast.unparse(mark) for mark in found_in(file)[name].decorator_list]
        assert not [mark for mark in marks if re.search(r"\bskip\b|\bxfail\b", mark)], f"{file}::{name}"


def test_the_search_for_proofs_can_fail() -> None:
    """It does not find what is not there."""
    assert "test_all_twelve_promises_are_there" in found_in("tests/unit/test_docs_promises.py")
    assert "found_in" not in found_in("tests/unit/test_docs_promises.py")
    assert found_in("tests/unit/test_of_nothing.py") == {}


WALL_CLOCK = re.compile(
    r"\b(time\.(time|time_ns|localtime|gmtime|strftime|ctime)|datetime\.(now|today|utcnow)|date\.today|random\.Random)\b"
)


def sees_the_wall_clock(source: str) -> list[str]:
    """What a program names that tells the time of day, or is chance that a fork would copy."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and WALL_CLOCK.search(ast.unparse(node)):
            found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "random"):
            found.extend(one.name for one in node.names if WALL_CLOCK.search(f"{node.module}.{one.name}"))
    return found


def test_no_decision_can_see_the_wall_clock() -> None:
    """Setting the date changes nothing, for nothing could ask for it.

    The demo only shows it; a server that writes a date into Retry-After speaks of it and of nothing else.
    """
    package = ROOT / "src" / "resilix"
    dates = package / "http" / "retry_after.py"
    assert "time.time" in sees_the_wall_clock(dates.read_text(encoding="utf-8"))
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).parts
        if "demo" not in parts and path != dates:
            # Tools for tests take their chance from a seed, so that it can be repeated.
            seeds = {"random.Random"} if parts[0] in ("testing", "whatif") else set[str]()
            assert set(sees_the_wall_clock(path.read_text(encoding="utf-8"))) <= seeds, path
    assert sees_the_wall_clock("import time\nx = time.time()") == ["time.time"]
    assert sees_the_wall_clock("from random import Random") == ["Random"]
    assert sees_the_wall_clock("import time\nx = time.monotonic") == []
