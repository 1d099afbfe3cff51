"""What is imported and not used costs a call nothing: the same calls are made, of Python functions and of C's."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.paths import MODULES

SCRIPT = """
import sys
for name in sys.argv[1:]:
    __import__(name)
from resilix import Bulkhead, CircuitBreaker, retry

@retry(on=OSError)
@CircuitBreaker("quiet")
@Bulkhead("quiet", limit=5)
def fetch(value):
    return value

for number in range(100):
    fetch(number)
steps = []
sys.setprofile(lambda frame, event, arg: steps.append(event))
for number in range(100):
    fetch(number)
sys.setprofile(None)
print(len(steps))
"""


def steps(*modules: str) -> int:
    """Calls and returns of a hundred quiet calls, in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_modules_that_are_imported_and_not_used_add_no_step() -> None:
    """Metrics, traces, logs, health, HTTP. Instructions are counted by the gate."""
    alone = steps()
    assert alone > 100 * 6, "each call goes through three policies"
    assert steps(*MODULES) == alone
