"""``import resilix`` loads what it needs and no more, and the first use of a policy brings in what that one needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import resilix
from resilix import events

NEVER_AT_IMPORT = (
    "asyncio", "anyio", "trio", "sniffio", "httpx", "httpx2", "httpcore", "rich", "matplotlib", "numpy", "pytest",
    "prometheus_client", "opentelemetry", "redis", "ssl", "sqlite3", "multiprocessing", "unittest", "urllib.request",
    "difflib", "queue", "heapq",
    "resilix.telemetry", "resilix.testing", "resilix.demo", "resilix.ledger", "resilix.__main__", "resilix.event_types",
    "resilix.policies.bulkhead", "resilix.policies.fallback", "resilix.policies.pipeline", "resilix.policies.timeout",
    "resilix.policies.retry", "resilix.policies.budget", "resilix.core.retry_plan", "resilix.core.snapshot",
    "resilix.workers", "resilix.runtime",
)  # fmt: skip


MOST_CALLS = 1_300 if sys.version_info < (3, 14) else 1_500
"""Python functions that the import may call, tenacity's own import and the import system not counted.

Dataclasses and enums of Python 3.14 call a few more."""

COUNTED = """
import importlib.util, os, sys, sysconfig, tenacity
ours = os.path.dirname(importlib.util.find_spec("resilix").origin) + os.sep
standard = tuple(sysconfig.get_paths()[one] + os.sep for one in ("stdlib", "platstdlib"))
installed = tuple(sysconfig.get_paths()[one] + os.sep for one in ("purelib", "platlib"))
calls = 0
def count(frame, kind, _):
    global calls
    where = frame.f_code.co_filename
    theirs = where.startswith(standard) and not where.startswith(installed)
    calls += kind == "call" and (theirs or where == "<string>" or where.startswith(ours))
sys.setprofile(count)
import resilix
sys.setprofile(None)
print(calls)
"""
"""The same with and without bytecode caches, and on every machine; what defining a dataclass costs shows in it."""


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


def test_the_import_runs_little_code() -> None:
    """A dataclass, a decorator or a table that is made at import shows here; time would only show noise."""
    ran = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)
    assert 100 < int(ran.stdout) <= MOST_CALLS


def test_next_to_nothing_of_the_standard_library_comes_on_top_of_tenacity() -> None:
    """What tenacity brings in is paid for; anything else is ours to pay: these take half a millisecond each."""
    added = loaded_after("import resilix") - loaded_after("import tenacity")
    assert {name for name in added if name.partition(".")[0] != "resilix"} <= {
        "__future__",
        "array",
        "contextvars",
        "_contextvars",
    }


def test_a_public_name_is_there_whichever_is_asked_for_first() -> None:
    """Some are loaded late; nobody can tell, but by the time it takes."""
    for name in resilix.__all__:
        use = f"import resilix\nfirst = resilix.{name}\nfrom resilix import {name}\nassert {name} is first"
        assert "resilix" in loaded_after(f"{use}\nassert vars(resilix)[{name!r}] is first")
    for first in ("pass", "from resilix import *"):
        loaded_after(f"{first}\nimport resilix\nassert set(resilix.__all__) <= set(dir(resilix))")
    with pytest.raises(AttributeError, match=r"module 'resilix' has no attribute 'retries'"):
        resilix.retries  # noqa: B018 - the point of it


def test_the_kinds_of_events_come_with_the_first_listener() -> None:
    """Then, rather than in the middle of a call; and each by its own name, whichever is asked for first."""
    assert "resilix.event_types" in loaded_after("from resilix import events\nevents.subscribe(print)")
    for name in events.__all__:
        assert "resilix.events" in loaded_after(f"from resilix.events import {name}\nassert {name} is not None")


def test_an_event_that_is_not_there_is_told_like_any_missing_name() -> None:
    """And all that are there are listed, before and after they are loaded."""
    with pytest.raises(AttributeError, match=r"module 'resilix\.events' has no attribute 'Exploded'"):
        events.Exploded  # noqa: B018 - the point of it
    loaded_after(
        "from resilix import events\nassert set(events.__all__) <= set(dir(events))\nfrom resilix.events import *"
    )


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
