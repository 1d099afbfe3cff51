"""``log_events`` in an outage: the first lines of a burst are written, the others are summed up in one line."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.front import breaker, fresh

from resilix import ConfigurationError, events, fallback, pipeline, retry
from resilix.clock import SYSTEM
from resilix.httpx import Client, standard
from resilix.telemetry.logs import log_events
from resilix.telemetry.logs_bursts import Bursts
from resilix.testing import FaultServer, virtual_time

CANARY = "hunter2"


class Lines(logging.Handler):
    """Keeps every record, under a logger of its own."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.getLogger(fresh("front.bursts"))
        self.logger.setLevel(level)
        self.logger.propagate = False
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self) -> list[str]:
        """What was written."""
        return [record.getMessage() for record in self.records]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by hand."""
    moment = [1000.0]
    monkeypatch.setattr(SYSTEM, "now", lambda: moment[0])
    return moment


def down(*args: Any, **kwargs: Any) -> Any:
    """Fail with something secret."""
    raise ConnectionError(f"https://user:{CANARY}@quotes.example/?token={CANARY}")


def answered(name: str, times: int = 1) -> None:
    """Have a fallback answer so many calls."""
    guard = pipeline(fallback(None, on=ConnectionError), name=name)
    for _ in range(times):
        guard.call(down)


def test_a_burst_is_five_lines_and_a_sum() -> None:
    """246 calls give up within the window: five are written, 241 are counted, and nothing is lost."""
    lines = Lines(logging.WARNING)
    stop = log_events(lines.logger)
    guard = pipeline(retry(on=ConnectionError, attempts=1), name="quotes")
    with virtual_time() as time:
        for _ in range(246):
            with pytest.raises(ConnectionError):
                guard.call(down)
            time.advance(1 / 32)
        time.advance(10 - 246 / 32)
        with pytest.raises(ConnectionError):
            guard.call(down)
    stop()
    line = "retry 'quotes' gave up at attempt 1 (attempts): ConnectionError"
    assert lines.texts() == [line] * 5 + ["retry 'quotes' given_up: … and 241 more in 10 s", line]
    summary = lines.records[5]
    assert summary.levelname == "WARNING"
    assert {key: value for key, value in vars(summary).items() if key.startswith("resilix_")} == {
        "resilix_event": "given_up",
        "resilix_policy": "retry",
        "resilix_name": "quotes",
        "resilix_more": 241,
        "resilix_window_s": 10.0,
        "resilix_ago_s": 0.0,
    }


def test_what_is_not_a_burst_is_written_line_by_line(now: list[float]) -> None:
    """Five lines of one kind and name are no burst, and a new window begins with nothing."""
    lines = Lines()
    stop = log_events(lines.logger)
    for _ in range(3):
        answered("calm", 5)
        now[0] += 10.0
    stop()
    assert lines.texts() == ["fallback 'calm' answered in place of ConnectionError"] * 15


def test_kinds_names_and_levels_are_counted_apart(now: list[float]) -> None:
    """A warning is never lost among details, nor one dependency among another's noise."""
    lines = Lines()
    stop = log_events(lines.logger, burst=1)
    noisy = breaker(consecutive=1, open_for=60.0)
    answered("a", 3)
    answered("b", 3)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            noisy.call(down)
        noisy.close()
    texts = lines.texts()
    stop()
    assert texts == [
        "fallback 'a' answered in place of ConnectionError",
        "fallback 'b' answered in place of ConnectionError",
        f"breaker {noisy.name!r} admitted a call",
        f"breaker {noisy.name!r} went from closed to open: consecutive failures",
        f"breaker {noisy.name!r} went from open to closed: closed by hand",
    ]
    assert sorted(lines.texts()[5:]) == [
        f"breaker {noisy.name!r} call_admitted: … and 2 more in 0 s",
        f"breaker {noisy.name!r} transition: … and 2 more in 0 s",
        f"breaker {noisy.name!r} transition: … and 2 more in 0 s",
        "fallback 'a' fallback_served: … and 2 more in 0 s",
        "fallback 'b' fallback_served: … and 2 more in 0 s",
    ]


def test_any_later_event_brings_out_what_is_due(now: list[float]) -> None:
    """The one that was noisy may never be heard of again; a sum that comes late says how late."""
    lines = Lines(logging.DEBUG)
    stop = log_events(lines.logger, burst=2, window=10)
    answered("noisy", 7)
    now[0] += 9.999
    answered("other")
    assert len(lines.texts()) == 3
    now[0] += 60.0
    answered("other")
    stop()
    assert lines.texts()[3:] == [
        "fallback 'noisy' fallback_served: … and 5 more in 10 s, 60 s ago",
        "fallback 'other' answered in place of ConnectionError",
    ]
    assert vars(lines.records[3])["resilix_ago_s"] == 59.999


def test_events_below_the_level_bring_out_what_is_due_and_are_not_counted(now: list[float]) -> None:
    """At WARNING a healthy call writes nothing of its own."""
    lines = Lines(logging.WARNING)
    stop = log_events(lines.logger, burst=1)
    guard = pipeline(retry(on=ConnectionError, attempts=1), name="quotes")
    for _ in range(3):
        with pytest.raises(ConnectionError):
            guard.call(down)
    now[0] += 10.0
    answered("healthy", 9)
    stop()
    assert lines.texts()[1:] == ["retry 'quotes' given_up: … and 2 more in 10 s"]


def test_the_end_sums_up_what_is_left(now: list[float]) -> None:
    """With the seconds it really was; ending again says nothing again."""
    lines = Lines()
    stop = log_events(lines.logger, burst=1)
    answered("quotes", 4)
    now[0] += 2.5
    stop()
    stop()
    assert lines.texts()[1:] == ["fallback 'quotes' fallback_served: … and 3 more in 2.5 s"]


def test_without_a_bound_every_line_is_written(now: list[float]) -> None:
    """burst=None, for those who count lines."""
    lines = Lines()
    stop = log_events(lines.logger, burst=None)
    answered("quotes", 50)
    now[0] += 60.0
    answered("quotes")
    stop()
    assert lines.texts() == ["fallback 'quotes' answered in place of ConnectionError"] * 51


def test_two_sinks_count_for_themselves(now: list[float]) -> None:
    """One for people, one for machines."""
    people, machines = Lines(), Lines()
    stops = [log_events(people.logger, burst=1), log_events(machines.logger, burst=None)]
    answered("quotes", 10)
    for stop in stops:
        stop()
    assert (len(people.records), len(machines.records)) == (2, 10)


def test_threads_lose_nothing(now: list[float]) -> None:
    """Lines and sums of eight threads add up."""
    lines = Lines()
    stop = log_events(lines.logger)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait(10)
        answered("crowd", 200)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop()
    assert len(lines.records) == 6
    assert vars(lines.records[5])["resilix_more"] == 8 * 200 - 5


def test_a_clock_that_goes_back_ends_the_window(now: list[float]) -> None:
    """A test that leaves its virtual time does not silence the next one."""
    lines = Lines()
    stop = log_events(lines.logger, burst=1)
    answered("quotes", 3)
    now[0] = 1.0
    answered("quotes")
    stop()
    assert lines.texts()[1:] == [
        "fallback 'quotes' fallback_served: … and 2 more in 0 s",
        "fallback 'quotes' answered in place of ConnectionError",
    ]


def test_names_that_come_and_go_do_not_fill_the_memory(now: list[float]) -> None:
    """What is remembered is one window's worth, burst or none."""
    bursts: Bursts[int] = Bursts(5, 10.0)
    for number in range(10_000):
        now[0] += 0.1
        bursts.ended()
        assert bursts.admit(number)
    assert len(bursts._windows) <= 101


def test_a_sink_that_has_ended_is_forgotten() -> None:
    """Nothing global keeps it."""
    bursts: Bursts[int] | None = Bursts(5, 10.0)
    gone: Callable[[], object] = weakref.ref(bursts)  # type: ignore[arg-type]
    bursts = None
    gc.collect()
    assert gone() is None


def test_a_finaliser_that_makes_an_event_does_not_hang() -> None:
    """The garbage collector may run user code while the counts are held."""
    lines = Lines()
    stop = log_events(lines.logger, burst=1)
    listener: Any = next(
        cell.cell_contents
        for cell in events.HUB.listeners[-1].__wrapped__.__closure__  # type: ignore[attr-defined]
        if isinstance(cell.cell_contents, Bursts)
    )
    with listener._lock:
        answered("finaliser")
    stop()
    assert len(lines.records) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_logs_and_does_not_tell_the_parents_sums() -> None:
    """Even if another thread of the parent held the counts."""
    code = """if True:
        import logging, os, sys
        from resilix import fallback
        from resilix.telemetry import logs_bursts
        from resilix.telemetry.logs import log_events
        logging.basicConfig(level=logging.DEBUG, format="%(message)s", stream=sys.stdout)
        stop = log_events(burst=1)
        guard = fallback(None, on=ZeroDivisionError)
        for _ in range(3): guard.call(divmod, 1, 0)
        sys.stdout.flush()
        (bursts,) = logs_bursts._LIVE
        with bursts._lock:
            child = os.fork()
        if not child:
            guard.call(divmod, 1, 0); stop(); sys.stdout.flush(); os._exit(0)
        os.waitpid(child, 0)
        stop()
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    line = "fallback 'divmod' answered in place of ZeroDivisionError"
    assert ran.stdout.splitlines()[:2] == [line, line]
    assert [said.partition(" more")[0] for said in ran.stdout.splitlines()[2:]] == [
        "fallback 'divmod' fallback_served: … and 2"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"burst": 0}, r"log_events\(burst=0\): the first line of a burst is always written .*; write burst=1 or more"),
        ({"burst": 2.5}, r"log_events\(burst=2\.5\): it must be a whole number"),
        ({"window": 0}, r"log_events\(window=0\): it must be more than zero seconds"),
        ({"window": None}, r"log_events\(window=None\): a duration is a number of seconds or a timedelta"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    """Where they are written."""
    with pytest.raises(ConfigurationError, match=said):
        log_events(**options)


def test_an_http_retry_says_what_the_server_answered_and_nothing_secret() -> None:
    """Method, status and host as facts; no path, query, header or body in any line or fact."""
    lines = Lines()
    stop = log_events(lines.logger)
    with FaultServer() as server:
        server.script("/ACME", 503)
        with Client(policy=standard(fresh("quotes"), wait=0), base_url=server.url) as client:
            client.put(
                "/ACME", params={"token": CANARY}, headers={"authorization": CANARY}, content=CANARY, auth=("u", CANARY)
            )
        port = server.port
    stop()
    scheduled = next(record for record in lines.records if vars(record)["resilix_event"] == "retry_scheduled")
    assert scheduled.getMessage().endswith("makes attempt 2 in 0 s, after status 503")
    facts = {key: value for key, value in vars(scheduled).items() if key.startswith(("resilix_http", "resilix_server"))}
    assert facts == {
        "resilix_http_request_method": "PUT",
        "resilix_http_request_resend_count": 0,
        "resilix_http_response_status_code": 503,
        "resilix_server_address": "127.0.0.1",
        "resilix_server_port": port,
    }
    for record in lines.records:
        whole = " ".join([record.getMessage(), repr(vars(record)), logging.Formatter().format(record)])
        assert CANARY not in whole
        assert "ACME" not in whole
