"""Helpers of the tests of the demo."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from resilix.demo.measure import Record
from resilix.demo.messages import FAILED, FALLBACK, FRESH, Answered, Done, Happened, Load
from resilix.demo.script import HEALTHY, OUTAGE, phase_at, script_for
from resilix.demo.settings import Settings

COMMAND = [sys.executable, "-m", "resilix", "demo"]


def resilix(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "resilix", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def left_over(seed: int) -> list[str]:
    """Command lines of the processes that a demo with this seed started and that still live."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "command"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "resilix.demo." in line and f'"seed": {seed}}}' in line]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until something holds, at most so long. Whether it came to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def sound_record() -> Record:
    """A run in which the guarded side kept every promise: 10 requests/s for 20 s."""
    settings = Settings(seconds=20.0, rate=10.0, seed=7)
    record = Record(settings)
    script = script_for(settings)
    for number in range(settings.requests):
        at = number / settings.rate
        well = not phase_at(script, at).down
        record.unguarded.requests.append(
            Answered(at, 0.03, FRESH, 1) if well else Answered(at, 2.0 + 0.001 * number, FAILED, 3)
        )
        record.guarded.requests.append(
            Answered(at, 0.03, FRESH, 1) if well else Answered(at, 0.001, FALLBACK, 0, age=at - 4.0)
        )
    calls = {phase.name: 40 for phase in script}
    record.unguarded.loads = [
        Load(1.0, {**calls, HEALTHY: 10, OUTAGE: 0}, 0, 0), Load(20.0, {**calls, OUTAGE: 180}, 3, 0),
    ]  # fmt: skip
    record.guarded.loads = [Load(20.0, {**calls, OUTAGE: 12}, 0, 0)]
    for at, state in ((4.5, "open"), (5.5, "half_open"), (5.6, "open"), (10.5, "half_open"), (10.7, "closed")):
        record.guarded.happened.append(Happened(at, f"breaker: {state}", state))
    record.unguarded.done = Done(latest=0.01, surprises=[])
    record.guarded.done = Done(
        latest=0.01, surprises=[], bound=2.8, state="closed", free=20, limit=20, hook_errors=0, last=FRESH
    )
    return record
