"""What an interpreter without a GIL runs: atomic counts and places as tokens, on any interpreter that is here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FILES = (
    "support/without_gil_cases", "unit/test_breaker_rules", "unit/test_breaker_table", "unit/test_breaker_threads",
    "unit/test_bulkhead", "unit/test_bulkhead_interrupts", "unit/test_sync_async_same", "unit/test_totals",
    "unit/test_explored_policies", "unit/test_woven_everywhere",
)  # fmt: skip
ONE = """
import sys
sys._is_gil_enabled = lambda: False
from resilix import Bulkhead, CircuitBreaker
quotes, slots = CircuitBreaker("quotes"), Bulkhead("slots", limit=2)
assert quotes(slots(len))("four") == 4
core, queue = quotes._core, slots._queue
assert core.quiet is core.calm is core.era
assert (core.era.window._under_lock, quotes.totals().success) == (1.0, 1), "the first call moves the window on"
assert quotes(slots(len))("four") == 4
assert (core.era.window._under_lock, quotes.totals().success) == (1.0, 2)
assert (len(queue.tokens), queue.free, slots.free) == (1, 1, 2)
"""


def test_calls_are_quiet_and_counted() -> None:
    """In a window by an atomic step, in a bulkhead by a token."""
    subprocess.run([sys.executable, "-c", ONE], check=True)


def test_the_promises_hold() -> None:
    """What can happen between two steps, and the tests of the breaker, places, interrupts, threads, and of weaving."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.no_gil", "-p", "no:cacheprovider"]
    files = [str(TESTS / f"{name}.py") for name in FILES]
    done = subprocess.run([*command, *files], cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
