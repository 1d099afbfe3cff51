"""Runs of pytest in a process and a directory of their own, with the plugin as an installed resilix would have it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOP = """
from resilix import Bulkhead, CircuitBreaker, retry

quotes = CircuitBreaker("quotes", consecutive=2)
slots = Bulkhead("quotes", limit=1)
again = retry(on=ConnectionError, attempts=3, wait=10.0)
jittered = retry(on=ConnectionError, attempts=5)

@quotes
@slots
def price():
    raise ConnectionError("no")

@again
async def aprice():
    raise ConnectionError("no")

@again
def offer():
    raise ConnectionError("no")

@jittered
def haggle():
    raise ConnectionError("no")
"""
"""A module with policies, as users write it."""


class Project:
    """A directory with a few tests, and pytest to run them with."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        pytester.makepyfile(shop=SHOP)
        # The entry points as pyproject.toml has them, however the package that runs us was installed.
        entered = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
        installed = pytester.path / "installed" / "resilix_as_built-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: resilix-as-built\nVersion: 0\n")
        points = [f"{name} = {module}" for name, module in entered["pytest11"].items()]
        (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *points, ""]))
        before = os.environ.get("PYTHONPATH")
        paths = [str(installed.parent), str(ROOT / "src"), *([before] if before else [])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        self.settings()

    def settings(self, *lines: str) -> None:
        """Write ``pytest.ini``; our own lines make every warning an error."""
        ours = ["[pytest]", "asyncio_default_fixture_loop_scope = function", "filterwarnings = error"]
        (self.pytester.path / "pytest.ini").write_text("\n".join([*ours, *lines, ""]), encoding="utf-8")

    def tests(self, text: str) -> None:
        """Write the tests."""
        self.pytester.makepyfile(test_shop=f"import pytest\nimport shop\n\n{text}")

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run them, with strict markers and in the order they stand in."""
        return self.pytester.runpytest_subprocess("--strict-markers", "-p", "no:randomly", *arguments)
