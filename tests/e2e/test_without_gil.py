"""What an interpreter without a GIL would run: nothing quiet, everything counted under a lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parents[1] / "unit"
FILES = ("test_breaker_table", "test_breaker_threads", "test_bulkhead", "test_sync_async_same", "test_totals")
ONE = """
import sys
sys._is_gil_enabled = lambda: False
from resilix import Bulkhead, CircuitBreaker
quotes, slots = CircuitBreaker("quotes"), Bulkhead("slots", limit=2)
assert quotes(slots(len))("four") == 4
assert quotes._core.quiet is None and quotes._core.calm is None
assert (slots._queue.free, slots._queue.kept, quotes.totals().success) == (0, 2, 1)
"""


def test_no_call_is_quiet() -> None:
    """Its counts are the same."""
    subprocess.run([sys.executable, "-c", ONE], check=True)


def test_the_promises_hold() -> None:
    """The tests of the breaker's table, of threads, places, totals, and that sync and async decide the same."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.no_gil", "-p", "no:cacheprovider"]
    files = [str(UNIT / f"{name}.py") for name in FILES]
    done = subprocess.run([*command, *files], cwd=UNIT.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
