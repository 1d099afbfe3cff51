"""``import resilix`` loads what it needs and no more, and the first use of a policy brings in what that one needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEVER_AT_IMPORT = (
    "asyncio", "anyio", "trio", "sniffio", "httpx", "httpx2", "httpcore", "rich", "matplotlib", "numpy", "pytest",
    "prometheus_client", "opentelemetry", "redis", "ssl", "sqlite3", "multiprocessing", "unittest", "urllib.request",
    "resilix.telemetry", "resilix.testing", "resilix.demo", "resilix.ledger", "resilix.__main__",
)  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """The modules a fresh interpreter has after running the code."""
    whole = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", whole], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_the_import_brings_in_no_event_loop_and_nothing_optional() -> None:
    """A script without async starts as fast as it can."""
    loaded = loaded_after("import resilix")
    assert loaded.isdisjoint(NEVER_AT_IMPORT)
    third_party = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"resilix", "__main__"}
    assert {name for name in third_party if not name.startswith(("_", "sitecustomize"))} <= {
        "tenacity",
        "typing_extensions",
    }


SYNC_USE = """
from resilix import *
@fallback(None, on=ConnectionError)
@retry(on=ConnectionError, attempts=2, wait=0.0)
@CircuitBreaker("q")
@Bulkhead("q", limit=2, max_wait=1.0)
@timeout(5.0)
def price():
    raise ConnectionError
assert price() is None
with deadline(1.0):
    assert price() is None
"""


def test_sync_use_needs_no_event_loop() -> None:
    """Not even where retries, timeouts and bulkheads do their work."""
    assert loaded_after(SYNC_USE).isdisjoint(("asyncio", "anyio", "trio", "ssl"))


@pytest.mark.parametrize("module", ["resilix.telemetry.logs", "resilix.testing", "resilix.events"])
def test_the_other_doors_are_light_too(module: str) -> None:
    """Each brings in the standard library at most."""
    assert loaded_after(f"import {module}").isdisjoint(("anyio", "trio", "httpx", "rich", "matplotlib", "pytest"))


def test_every_module_can_be_imported_first() -> None:
    """No module needs another to have been imported before it."""
    modules = (
        "errors", "clock", "events", "core.options", "core.verdict", "core.breaker", "core.permits", "core.attempts",
        "runtime", "ledger", "workers", "policies.functions", "policies.base", "policies.hazards", "policies.pipeline",
        "policies.fallback", "policies.registry", "telemetry.logs", "testing",
    )  # fmt: skip
    for module in modules:
        assert f"resilix.{module}" in loaded_after(f"import resilix.{module}")
