"""A worker of a service, one of several, that pushes its metrics and does what it reads from its input.

``python -m tests.support.prom_worker`` with ``PROMETHEUS_MULTIPROC_DIR`` set. Each line is a command and a number; each
is answered with one line. ``fork`` makes so many further workers, which do the following ``each`` and then wait.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from prometheus_client import Counter

import resilix.prometheus
from resilix import Bulkhead, CircuitBreaker, RetryBudget, pipeline, retry
from resilix.prometheus import timed

QUOTES = CircuitBreaker("quotes", consecutive=3, failure_rate=0.5, min_calls=2)
SLOTS = Bulkhead("slots", limit=10)
PURSE = RetryBudget("purse", tokens=100, cost=10)
OWN = Counter("own_things_total", "A metric that is not ours.")
GUARD = pipeline(timed("quotes"), retry(on=ValueError, attempts=2, wait=0.0, budget=PURSE), QUOTES, name="quotes")
TAKEN: list[object] = []


def broken() -> None:
    """Fail."""
    raise ValueError("as it was told")


def succeed(times: int) -> None:
    """Make calls that succeed."""
    for _ in range(times):
        GUARD.call(int)


def fail(times: int) -> None:
    """Make calls that fail, retries included; the third attempt opens the breaker."""
    for _ in range(times):
        try:
            GUARD.call(broken)
        except Exception:
            continue


def take(places: int) -> None:
    """Take places of the bulkhead, and keep them."""
    TAKEN.extend(SLOTS.acquire() for _ in range(places))


def own(times: int) -> None:
    """Count something of the service's own."""
    OWN.inc(times)


def fork(children: int) -> list[int]:
    """Make workers out of this one; each succeeds 10 times its number and takes as many places as its number."""
    made: list[int] = []
    for number in range(1, children + 1):
        pid = os.fork()
        if pid == 0:
            own(1)
            succeed(10 * number)
            take(number)
            while True:
                time.sleep(60)
        made.append(pid)
    return made


def short(children: int) -> list[int]:
    """Make children that end at once, without and then with a call."""
    made: list[int] = []
    for _ in range(children):
        for calls in (0, 1):
            pid = os.fork()
            if pid == 0:
                succeed(calls)
                sys.exit(0)
            os.waitpid(pid, 0)
            made.append(pid)
    return made


def end(*_: object) -> None:
    """Leave in an orderly way."""
    sys.exit(0)


COMMANDS: dict[str, Callable[[int], object]] = {
    "succeed": succeed,
    "fail": fail,
    "take": take,
    "own": own,
    "fork": fork,
    "short": short,
    "push": lambda hundredths: resilix.prometheus.push(hundredths / 100) and None,
    "exit": lambda status: sys.exit(status),
}


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for line in sys.stdin:
        command, number = line.split()
        answer = COMMANDS[command](int(number))
        sys.stdout.write(f"{answer!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
