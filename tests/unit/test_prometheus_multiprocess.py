"""``resilix.prometheus`` in multiprocess mode: shared files, forks, exits. Each test is a script of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import os, sys, threading, time
from prometheus_client import *
from prometheus_client.multiprocess import MultiProcessCollector
import resilix.prometheus as rp
from resilix import *
from resilix.telemetry import prom_push

def scraped(name, **labels):
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry.get_sample_value(name, labels)
"""


def run(script: str, directory: Path) -> str:
    """Run a script in multiprocess mode; what it printed."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        PREAMBLE + textwrap.dedent(script),
    ]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_in_multiprocess_mode_dead_policies_change_no_ratio(tmp_path: Path) -> None:
    """A series cannot be removed there: what is dead adds nothing, and is neither the highest nor the lowest."""
    out = run(
        """
        def seen():
            return [scraped("resilix_bulkhead_limit", bulkhead="s"),
                    scraped("resilix_retry_budget_remaining_ratio", budget="p"),
                    scraped("resilix_circuit_breaker_state", breaker="b", state="closed")]

        slots, purse, quotes = Bulkhead("s", limit=3), RetryBudget("p", tokens=20, cost=10), CircuitBreaker("b")
        try:
            retry(on=ZeroDivisionError, attempts=2, wait=0, budget=purse).call(lambda: 1 / 0)
        except ZeroDivisionError:
            pass
        recorder = prom_push.Recorder(10, CollectorRegistry())
        recorder.push()
        before = seen()
        del slots, purse
        recorder.push()
        print(before, seen())
        """,
        tmp_path,
    )
    assert out == "[3.0, 0.5, 1.0] [0.0, 1.0, 1.0]\n"


def test_in_multiprocess_mode_all_registries_are_one(tmp_path: Path) -> None:
    """They write into the same files: a second one would count twice, even after the first has stopped."""
    out = run(
        """
        quotes = CircuitBreaker("b")
        quotes.call(int)
        stop = rp.push(3600)
        stop()
        try:
            rp.push(3600, registry=CollectorRegistry())
        except ConfigurationError as error:
            print("the same files" in str(error))
        rp.push(3600)
        one, two = rp.timed("b"), rp.timed("b", registry=CollectorRegistry())
        for guard in (one, two, one):
            guard.call(int)
        print(scraped("resilix_calls_total", policy="b", outcome="success"))
        print(scraped("resilix_call_duration_seconds_count", policy="b", outcome="success"))
        """,
        tmp_path,
    )
    assert out == "True\n1.0\n3.0\n"


def test_a_budget_that_died_before_a_fork_is_not_empty_in_the_child(tmp_path: Path) -> None:
    """In a child prometheus-client sets every series its parent ever had to 0, which for a budget says a lot."""
    out = run(
        """
        purse = RetryBudget("p")
        rp.push(0.02)
        del purse
        time.sleep(0.2)
        pid = os.fork()
        if pid == 0:
            deadline = time.monotonic() + 20
            while not any(f"_{os.getpid()}." in name for name in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.2)
            os._exit(0)
        os.waitpid(pid, 0)
        print(scraped("resilix_retry_budget_remaining_ratio", budget="p"))
        """,
        tmp_path,
    )
    assert out == "1.0\n"


def test_a_fork_in_the_middle_of_a_push_does_not_hang_the_child(tmp_path: Path) -> None:
    """The lock of prometheus-client would be taken for good there; the fork waits until the push is over."""
    out = run(
        """
        from prometheus_client.mmap_dict import MmapedDict

        writing, write = threading.Event(), MmapedDict.write_value

        def slowly(*args):
            writing.set()
            time.sleep(0.2)
            write(*args)

        quotes, own = CircuitBreaker("b"), Counter("own_total", "Mine.")
        rp.push(0.01)
        MmapedDict.write_value = slowly
        quotes.call(int)
        writing.wait()  # the pushing thread holds the lock
        pid = os.fork()
        MmapedDict.write_value = write
        if pid == 0:
            own.inc()
            os._exit(0)
        deadline = time.monotonic() + 10
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, 9)
                raise AssertionError("the child hangs")
            time.sleep(0.01)
        print(scraped("own_total"), scraped("resilix_calls_total", policy="b", outcome="success"))
        """,
        tmp_path,
    )
    assert out == "1.0 1.0\n"
