"""Run the tests both ways at once: with woven functions, and with the plain shells alone (``RESILIX_WEAVE=0``).

Two processes on two cores take about as long as one. What the woven one says is shown as it comes, what the plain one
says afterwards. What weaving cannot change runs one way only (the markers ``once_woven`` and ``once_plain``). Tests
that hold a real duration to tens of milliseconds (the marker ``real_time``) come after that, one way after the other,
on a machine that does nothing else. At the end stands which way failed. Arguments are pytest's, for all. One way alone,
with a debugger say, is ``python -m pytest``, with ``RESILIX_WEAVE=0`` for the plain one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

WAYS = {"woven": "1", "plain": "0"}
"""What ``RESILIX_WEAVE`` is for each; the first is shown as it comes."""
NO_TESTS = 5
"""pytest's status when none was left to run: some tests set the switch themselves, and run with the woven ones only."""


ONCE = {"woven": "not once_plain", "plain": "not once_woven"}
"""Which tests run which way."""


def start(way: str, arguments: Sequence[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Begin to run the tests one way, with caches of its own."""
    environment = {**os.environ, "RESILIX_WEAVE": WAYS[way], "HYPOTHESIS_STORAGE_DIRECTORY": f".hypothesis/{way}"}
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{way}", *arguments]
    return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT if output else None)


def at_once(arguments: dict[str, Sequence[str]]) -> dict[str, int]:
    """Run tests both ways at once and show what both say; the status of each."""
    shown, hidden = WAYS
    with tempfile.TemporaryFile() as output:
        print(f"== {shown}", flush=True)
        running = [start(shown, arguments[shown], None), start(hidden, arguments[hidden], output)]
        try:
            first, second = (one.wait() for one in running)
        finally:
            for one in running:
                one.terminate()  # without effect on one that has ended
                one.wait()
        print(f"\n== {hidden} (RESILIX_WEAVE=0)", flush=True)
        output.seek(0)
        sys.stdout.buffer.write(output.read())
    return {shown: first, hidden: second}


def one_by_one(arguments: dict[str, Sequence[str]]) -> dict[str, int]:
    """Run tests one way after the other; the status of each."""
    statuses = {}
    for way in WAYS:
        print(f"\n== {way}, in real time", flush=True)
        running = start(way, arguments[way], None)
        try:
            statuses[way] = running.wait()
        finally:
            running.terminate()  # as above
            running.wait()
    return statuses


def run(arguments: Sequence[str]) -> dict[str, int]:
    """Run all of them; the status of each way."""
    if "-m" in arguments:
        return at_once(dict.fromkeys(WAYS, arguments))  # a choice of the caller's own
    ended = at_once({way: ["-m", f"not real_time and {once}", *arguments] for way, once in ONCE.items()})
    apart = one_by_one({way: ["-m", f"real_time and {once}", *arguments] for way, once in ONCE.items()})
    return {
        way: ended[way] if apart[way] in (0, NO_TESTS) or ended[way] not in (0, NO_TESTS) else apart[way]
        for way in WAYS
    }


def main(arguments: Sequence[str]) -> int:
    """Run them; 0 when nothing failed."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        ended = run(arguments)
    except KeyboardInterrupt:
        return 130
    failed = {way: status for way, status in ended.items() if status not in (0, NO_TESTS)}
    if not failed and 0 not in ended.values():
        failed = ended
    told = (f"{way}: {f'FAILED (status {failed[way]})' if way in failed else 'passed'}" for way in ended)
    print("\n== " + ", ".join(told), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
