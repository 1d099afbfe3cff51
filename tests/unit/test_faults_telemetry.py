"""What operators see of injected faults: that they are switched on, and what befell whom. And what production pays."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.support.forks import forking

from resilix import CircuitBreaker, ConfigurationError, events
from resilix.events import FaultInjected, FaultsSwitched
from resilix.telemetry.logs import log_events
from resilix.telemetry.prom_collector import Collector
from resilix.telemetry.readings import readings
from resilix.testing import faults, virtual_time


def values(name: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric."""
    return {labels: value for family in readings() if family.name == name for labels, value in family.samples}


def test_events_tell_of_the_switch_and_of_every_fault() -> None:
    """On and off once, however blocks nest; a call that passed is no fault."""
    seen: list[events.Event] = []
    stop = events.subscribe(seen.append)
    quotes = CircuitBreaker("faults-events")
    try:
        with faults.enabled(), virtual_time():
            with faults.enabled():
                plan = faults.sequence(
                    faults.ok, KeyError, faults.latency(2.0) & faults.error(OSError), faults.latency(1.0)
                )
                with faults.inject("faults-events", plan):
                    for _ in range(5):
                        with suppress(KeyError, OSError):
                            quotes.call(len, "")
    finally:
        stop()
    switched = [(one.name, one.on) for one in seen if isinstance(one, FaultsSwitched)]
    injected = [one for one in seen if isinstance(one, FaultInjected)]
    assert switched == [("enabled()", True), ("enabled()", False)]
    assert [(one.fault, one.delay) for one in injected] == [("error", 0.0), ("error", 2.0), ("latency", 1.0)]
    assert {(one.policy, one.name) for one in injected} == {("faults", "faults-events")}


def test_metrics_say_whether_faults_are_on_and_count_them() -> None:
    """By what they were injected by, and one of four kinds: no name of an error, no status."""
    assert values("resilix_faults_enabled") == {(): 0.0}
    with faults.enabled():
        assert values("resilix_faults_enabled") == {(): 1.0}
        plan = faults.sequence(KeyError, 503, faults.latency(0.0), faults.ok)
        guarded = plan(len)
        for kind in (KeyError, ConfigurationError):
            with pytest.raises(kind):
                guarded("")
        assert guarded("") == guarded("") == 0
    assert values("resilix_faults_injected_total") == {("len", "error"): 1.0, ("len", "status"): 1.0}
    registry = CollectorRegistry()
    registry.register(Collector())
    text = generate_latest(registry).decode()
    assert "resilix_faults_enabled 0.0" in text
    assert 'resilix_faults_injected_total{fault="error",policy="len"} 1.0' in text


def test_the_log_warns_when_faults_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever finds calls failing on purpose must find out why."""
    caplog.set_level(logging.DEBUG, "resilix")
    stop = log_events()
    try:
        with faults.enabled(), pytest.raises(KeyError):
            faults.error(KeyError).call(len, "")
    finally:
        stop()
    told = [(one.levelno, one.getMessage()) for one in caplog.records]
    assert told == [
        (logging.WARNING, "faults 'enabled()' switched on: calls may fail on purpose from now on"),
        (logging.DEBUG, "faults 'len' injected a fault: error"),
        (logging.INFO, "faults 'enabled()' switched off"),
    ]


BY_ENVIRONMENT = """
import logging
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
from resilix import CircuitBreaker
from resilix.telemetry.logs import log_events
from resilix.testing import faults
from resilix.testing.switch import SWITCH
SWITCH.on()  # a call that came before anybody listened
log_events()
quotes = CircuitBreaker("quotes")
with faults.inject("quotes", KeyError):
    try:
        quotes.call(len, "")
    except KeyError:
        print("injected")
with faults.enabled():
    pass
from resilix.telemetry.readings import readings
print(*[family.samples[0].value for family in readings() if family.name == "resilix_faults_enabled"])
"""


@pytest.mark.parametrize(("setting", "on"), [("1", True), ("on", True), ("0", False), ("", False), ("maybe", False)])
def test_the_environment_switches_faults_on(setting: str, on: bool) -> None:
    """For a whole process; a block inside does not end it, and whoever listens is told with the next call."""
    environment = {**os.environ, "RESILIX_FAULTS": setting}
    command = [sys.executable, "-W", "error", "-c", BY_ENVIRONMENT]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if on:
        assert ran.stdout.split() == ["injected", "True"], ran.stderr
        assert ran.stderr.count("WARNING faults 'RESILIX_FAULTS' switched on") == 1
    else:
        assert ran.returncode == 1
        assert "faults are switched off in this process" in ran.stderr


def test_production_loads_nothing_of_it() -> None:
    """Neither the import nor guarded calls, over HTTP too; and the door is shut."""
    code = """
import sys, resilix, resilix.httpx, resilix.injection
quotes = resilix.CircuitBreaker("quotes")
resilix.retry(on=KeyError).call(quotes(len), "")
assert resilix.injection.INJECTION.door is None and not resilix.injection.INJECTION.enabled
assert not [name for name in sys.modules if name.startswith("resilix.testing")]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


FORKED = """
from resilix.testing import faults

quotes = CircuitBreaker("quotes")
plan = faults.sequence(KeyError, repeat=True)
with faults.enabled(), faults.inject("quotes", plan):
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with plan._lock:
            held.set()
            go_on.wait(30)

    threading.Thread(target=hold, daemon=True).start()
    held.wait(30)

    def child():
        try:
            quotes.call(len, "")
        except KeyError:
            return plan.counts.calls
        return 0

    show(in_child(child))
    go_on.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_befallen_though_another_thread_held_the_lock() -> None:
    """Servers fork; the plan goes on in each worker, with counts of its own."""
    assert forking(FORKED) == [(1,)]
