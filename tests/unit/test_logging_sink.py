"""``log_events`` writes what happens to the standard library's logging: levels, facts with units, no secrets."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.front import breaker, fresh

from resilix import (
    Bulkhead,
    ConfigurationError,
    RejectedError,
    TimeoutExceededError,
    deadline,
    events,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.telemetry import logs
from resilix.telemetry.logs import log_events
from resilix.testing import virtual_time

pytestmark = pytest.mark.filterwarnings("error")

CANARY = "hunter2"
URL = f"https://user:{CANARY}@quotes.example/?token={CANARY}"


class Sink(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A sink at DEBUG under a logger of its own, fed by log_events."""
    logger = logging.getLogger(fresh("front.logs"))
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = Sink()
    logger.addHandler(handler)
    stop = log_events(logger)
    yield handler
    stop()
    logger.removeHandler(handler)


def extra(record: logging.LogRecord) -> dict[str, Any]:
    """What a record holds for machines."""
    return {key: value for key, value in vars(record).items() if key.startswith("resilix_")}


def told(sink: Sink) -> list[tuple[str, str]]:
    """Level and kind of each record."""
    return [(record.levelname, extra(record)["resilix_event"]) for record in sink.records]


def down(*args: Any, **kwargs: Any) -> Any:
    raise ConnectionError(URL)


def test_a_retry(sink: Sink) -> None:
    """Attempts and retries are details, giving up is a warning; waits are in seconds."""
    with virtual_time(), pytest.raises(ConnectionError):
        pipeline(retry(on=ConnectionError, attempts=2, wait=1.5), name="quotes").call(down)
    assert told(sink) == [
        ("DEBUG", "attempt_failed"),
        ("DEBUG", "retry_scheduled"),
        ("DEBUG", "attempt_failed"),
        ("WARNING", "given_up"),
    ]
    assert extra(sink.records[1]) == {
        "resilix_event": "retry_scheduled",
        "resilix_policy": "retry",
        "resilix_name": "quotes",
        "resilix_attempt": 2,
        "resilix_wait_s": 1.5,
        "resilix_error_type": "ConnectionError",
    }
    assert [record.getMessage() for record in sink.records] == [
        "retry 'quotes' failed at attempt 1: ConnectionError",
        "retry 'quotes' makes attempt 2 in 1.5 s, after ConnectionError",
        "retry 'quotes' failed at attempt 2: ConnectionError",
        "retry 'quotes' gave up at attempt 2 (attempts): ConnectionError",
    ]


def test_a_breaker(sink: Sink) -> None:
    """Opening is a warning, recovery is information, calls are details."""
    now = [0.0]
    quotes = breaker(consecutive=1, open_for=30.0, clock=lambda: now[0])
    for _ in range(2):
        with pytest.raises((ConnectionError, RejectedError)):
            quotes.call(down)
    now[0] = 30.0
    quotes.call(len, "")
    assert told(sink) == [
        ("DEBUG", "call_admitted"),
        ("WARNING", "transition"),
        ("DEBUG", "call_refused"),
        ("INFO", "transition"),
        ("DEBUG", "call_admitted"),
        ("DEBUG", "probe_admitted"),
        ("INFO", "transition"),
    ]
    opened, refused, probe = (extra(sink.records[index]) for index in (1, 2, 5))
    assert opened == {
        "resilix_event": "transition",
        "resilix_policy": "breaker",
        "resilix_name": quotes.name,
        "resilix_from_state": "closed",
        "resilix_to_state": "open",
        "resilix_mode": "normal",
        "resilix_reason": "consecutive failures",
        "resilix_opening": 1,
    }
    assert sink.records[1].getMessage() == f"breaker {quotes.name!r} went from closed to open: consecutive failures"
    assert (refused["resilix_kind"], refused["resilix_retry_after_s"]) == ("circuit_open", 30.0)
    assert probe["resilix_lease_s"] == 60.0


def test_a_person_taking_over(sink: Sink) -> None:
    """Forced open is a warning; what does not change the state says which mode it is in now."""
    quotes = breaker(consecutive=1)
    quotes.force_open()
    quotes.close()
    quotes.disable()
    quotes.observe()
    with pytest.raises(ConnectionError):
        quotes.call(down)
    assert [level for level, kind in told(sink) if kind == "transition"] == ["WARNING", "INFO", "INFO", "INFO"]
    assert f"breaker {quotes.name!r} is closed and disabled now: disabled" in messages(sink)
    assert ("WARNING", "trip_observed") in told(sink)
    assert f"breaker {quotes.name!r} would have opened: consecutive failures" in messages(sink)


def messages(sink: Sink) -> list[str]:
    return [record.getMessage() for record in sink.records]


def test_timeouts_bulkheads_fallbacks_deadlines(sink: Sink) -> None:
    """Details, but for the thread that goes on without anybody waiting for it."""
    slots, release = Bulkhead(fresh(), limit=1), threading.Event()
    with virtual_time(), pytest.raises(TimeoutExceededError):
        asyncio.run(timeout(2.5).acall(asyncio.sleep, 9))
    with pytest.raises(TimeoutExceededError):
        timeout(0.02).call(release.wait, 30)
    release.set()
    with slots.acquire(), pytest.raises(RejectedError):
        slots.call(len, "")
    fallback(None, on=ConnectionError).call(down)
    with deadline(0), pytest.raises(RejectedError):
        retry(on=OSError).call(len, "")
    assert told(sink) == [
        ("DEBUG", "timed_out"),
        ("WARNING", "timed_out"),
        ("DEBUG", "call_admitted"),
        ("DEBUG", "call_refused"),
        ("DEBUG", "fallback_served"),
        ("DEBUG", "call_refused"),
    ]
    assert extra(sink.records[0])["resilix_limit_s"] == 2.5
    assert extra(sink.records[1])["resilix_abandoned"] is True
    assert "resilix_retry_after_s" not in extra(sink.records[3])


def test_broken_code_of_yours(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    """A predicate that raises is a warning."""
    caplog.set_level(logging.CRITICAL, "resilix")
    with pytest.raises(ConnectionError):
        fallback(None, on=lambda error: error.missing).call(down)
    assert told(sink) == [("WARNING", "hook_error")]
    assert (extra(sink.records[0])["resilix_hook"], extra(sink.records[0])["resilix_error_type"]) == (
        "on",
        "AttributeError",
    )


def test_nothing_secret_is_ever_logged(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    """No exception text, no URL, no argument, no value: canaries in all of them, and none in any record."""
    caplog.set_level(logging.DEBUG)
    secret = {"token": CANARY}
    quotes = breaker(consecutive=1, on_result=lambda result: result["missing"])

    def predicate(error: Exception) -> bool:
        if "closed" in str(error):
            raise LookupError(URL)
        return True

    guard = pipeline(
        fallback(secret, on=(ConnectionError, RejectedError)), retry(on=predicate, attempts=2, wait=0.0), quotes
    )
    assert guard.call(down, URL, key=CANARY) is secret
    quotes.close()
    assert guard.call(lambda url: secret, URL) is secret
    with pytest.raises(LookupError):
        fallback(call=lambda *args: {}[args[0]], on=ConnectionError).call(down, URL)
    with pytest.raises(ConnectionError):
        fallback(None, on=predicate_that_tells).call(down, URL)
    assert len(sink.records) > 8
    for record in [*sink.records, *caplog.records]:
        whole = " ".join([record.getMessage(), repr(vars(record)), logging.Formatter().format(record)])
        assert CANARY not in whole, record.getMessage()


def predicate_that_tells(error: Exception) -> bool:
    raise RuntimeError(f"cannot judge {error}")


def test_every_kind_of_event_has_a_record_of_its_own() -> None:
    """A new kind of event has to be given a level and a sentence."""
    kinds = {value for value in vars(events).values() if isinstance(value, type) and issubclass(value, events.Event)}
    kinds -= {events.Event, events.ErrorEvent}
    assert set(logs.LINES) == kinds


def test_the_facts_are_plain_values_that_any_log_processor_takes(sink: Sink) -> None:
    """JSON, and never an attribute that a record has already."""
    before = set(vars(logging.makeLogRecord({})))
    for kind in logs.LINES:
        fields = {field.name: 1.5 if "float" in str(field.type) else 1 for field in dataclasses.fields(kind)}
        events.HUB.emit(
            kind(
                **{**fields, "policy": "p", "name": "n"}
                | ({"error": None, "attributes": {}} if "error" in fields else {})
            )
        )
    assert len(sink.records) == len(logs.LINES)
    for record in sink.records:
        facts = extra(record)
        json.dumps(facts)
        assert not set(facts) & before
        assert {"resilix_event", "resilix_policy", "resilix_name"} <= set(facts)
        assert set(vars(record)) - before <= set(facts) | {"message"}


def test_an_event_of_somebody_elses_is_logged_too(sink: Sink) -> None:
    """A subclass goes by its base; one nobody knows is a detail."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class SpecialTransition(events.Transition):
        pass

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Unknown(events.Event):
        pass

    events.HUB.emit(
        SpecialTransition(
            policy="breaker", name="n", from_state="closed", to_state="open", mode="normal", reason="r", opening=1
        )
    )
    events.HUB.emit(Unknown(policy="mine", name="n"))
    assert told(sink) == [("WARNING", "special_transition"), ("DEBUG", "unknown")]


def test_records_below_the_level_are_not_made(sink: Sink) -> None:
    """At WARNING, a healthy service writes nothing."""
    quiet = Sink()
    logger = logging.getLogger(fresh("front.quiet"))
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(quiet)
    stop = log_events(logger.name)
    breaker().call(len, "")
    fallback(None, on=ConnectionError).call(down)
    stop()
    assert quiet.records == []
    assert len(sink.records) == 2


def test_by_default_it_is_the_logger_of_the_library(caplog: pytest.LogCaptureFixture) -> None:
    """logging.getLogger("resilix"), so that one line of configuration is enough."""
    with caplog.at_level(logging.DEBUG, "resilix"):
        stop = log_events()
        fallback(None, on=ConnectionError).call(down)
        stop()
        stop()
        fallback(None, on=ConnectionError).call(down)
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("resilix", "fallback 'down' answered in place of ConnectionError")
    ]


@pytest.mark.parametrize("logger", [3, print, logging, logging.LoggerAdapter(logging.getLogger("x"), {})])
def test_it_writes_to_a_logger(logger: Any) -> None:
    """Refused where it is written."""
    with pytest.raises(ConfigurationError, match=r"it writes to a logger of the standard library; write log_events"):
        log_events(logger)


def test_a_handler_that_uses_guarded_functions_comes_to_an_end(sink: Sink) -> None:
    """A handler that ships logs through a guarded client does not log itself for ever."""
    ship = fallback(None, on=ConnectionError)(down)

    class Shipping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ship()

    logger = logging.getLogger(fresh("front.shipping"))
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Shipping())
    stop: Callable[[], None] = log_events(logger)
    fallback(None, on=ConnectionError).call(down)
    stop()
    assert len(sink.records) == 2  # the call and what the handler did about it


def test_it_is_imported_only_when_asked_for() -> None:
    """``import resilix`` does not load it."""
    code = "import sys, resilix; assert not [name for name in sys.modules if 'telemetry' in name]"
    subprocess.run([sys.executable, "-c", code], check=True)
