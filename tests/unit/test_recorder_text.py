"""The timeline of a record: aligned, short, free of secrets, with a mark where an expectation broke."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from resilix import Bulkhead, BulkheadFullError, CircuitBreaker, CircuitOpenError, fallback, retry, timeout
from resilix.event_types import (
    AttemptFailed,
    CallRefused,
    Event,
    FaultInjected,
    FaultsSwitched,
    GivenUp,
    HookError,
    ProbeAdmitted,
    RetryScheduled,
    TimedOut,
    Transition,
    TripObserved,
)
from resilix.testing import EventRecord, Recorded, event, record_events, virtual_time
from resilix.testing.event_lines import MOST_LINES, describe


def price() -> Any:
    raise ConnectionError("https://user:hunter2@host/")


@functools.cache
def outage() -> EventRecord:
    quotes = CircuitBreaker("shares", consecutive=3)
    guarded = fallback(None, on=(ConnectionError, CircuitOpenError))(
        retry(on=ConnectionError, attempts=3, wait=0.1)(quotes(price))
    )
    with virtual_time(), record_events() as events:
        for _ in range(3):
            guarded()
    return events


def test_the_timeline_shows_attempts_waits_and_transitions() -> None:
    """The same thing twice in a row is one line; an exception's text is nowhere."""
    assert str(outage()).splitlines() == [
        "     0.000  breaker shares  admitted",
        "     0.000  retry price     attempt 1 failed: ConnectionError",
        "     0.000  retry price     waits 0.100",
        "     0.100  breaker shares  admitted",
        "     0.100  retry price     attempt 2 failed: ConnectionError",
        "     0.100  retry price     waits 0.100",
        "     0.200  breaker shares  admitted",
        "     0.200  breaker shares  closed → open (consecutive failures)",
        "     0.200  retry price     attempt 3 failed: ConnectionError",
        "     0.200  retry price     gave up after 3 attempts (attempts): ConnectionError",
        "     0.200  fallback price  fallback answered for ConnectionError",
        "     0.200  breaker shares  refused: circuit open, back in 30.000",
        "     0.200  fallback price  fallback answered for CircuitOpenError",
        "     0.200  breaker shares  refused: circuit open, back in 30.000",
        "     0.200  fallback price  fallback answered for CircuitOpenError",
    ]


def test_a_failure_marks_where_the_expectation_broke() -> None:
    """The line, what was expected there, and the whole expectation."""
    events = outage()
    with pytest.raises(AssertionError) as failed:
        events.assert_sequence("attempt failed", "retry", "attempt failed", "gave up", "opened")
    text = str(failed.value)
    assert text.startswith("expected gave up, found: waits 0.100\n\n")
    at = text.splitlines().index(">    0.100  retry price     waits 0.100")
    assert text.splitlines()[at + 1] == "  ^ gave up was expected here"
    assert text.endswith(
        "\n\nexpected: attempt failed, retry, attempt failed, gave up, opened\n"
        "(other kinds of event were not looked at)"
    )
    assert "hunter2" not in text


def test_what_never_came_is_marked_at_the_end() -> None:
    """Also when nothing was recorded at all."""
    with pytest.raises(AssertionError) as failed:
        outage().assert_sequence("opened", "half-open")
    assert "\n> the end: half-open was expected here\n" in str(failed.value)
    with pytest.raises(AssertionError) as failed:
        EventRecord([]).assert_sequence(event("retry", wait=1.0))
    assert "  (nothing was recorded)\n> the end: retry (wait=1.0) was expected here" in str(failed.value)
    assert str(EventRecord([])) == "  (nothing was recorded)"


def test_a_run_of_the_same_is_one_line_and_a_mark_breaks_it() -> None:
    """A thousand refusals do not hide the rest."""
    slots = Bulkhead("slots", limit=1)
    with slots.acquire(), record_events() as events:
        for _ in range(1000):
            with pytest.raises(BulkheadFullError):
                slots.acquire()
    assert str(events).endswith("bulkhead slots  refused: bulkhead full (1000 times)")
    with pytest.raises(AssertionError) as failed:
        events.assert_sequence("refused", "refused")
    lines = [line.strip() for line in str(failed.value).splitlines() if "refused: b" in line or "^" in line]
    assert lines[1].endswith("refused: bulkhead full (2 times)")
    assert lines[2].startswith(">")
    assert lines[3] == "^ nothing more was expected here"
    assert lines[4].endswith("refused: bulkhead full (997 times)")


def test_a_long_timeline_is_shown_in_part() -> None:
    """Its beginning and its end; or, where something is marked, what stands around it."""
    entries = [
        Recorded(float(number), RetryScheduled(
            policy="retry", name="price", error=None, error_type="result", attempt=2, wait=float(number)))
        for number in range(1, 1001)
    ]  # fmt: skip
    record = EventRecord(entries)
    lines = str(record).splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[MOST_LINES // 2] == "    …"
    assert lines[-1].endswith("waits 1000.000")
    with pytest.raises(AssertionError) as failed:
        record.assert_sequence(*["retry"] * 500)
    marked = str(failed.value).splitlines()
    assert any(line.startswith("> ") and line.endswith("waits 501.000") for line in marked)
    assert len(marked) < MOST_LINES + 10


ERROR = {"policy": "retry", "name": "price", "error": ConnectionError("no"), "error_type": "ConnectionError"}
STATUS = {
    "policy": "retry", "name": "http", "error": None, "error_type": "result",
    "attributes": {"http.response.status_code": 503},
}  # fmt: skip
MOVED = {"policy": "breaker", "name": "quotes", "reason": "why", "opening": 1}


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (AttemptFailed(attempt=1, **STATUS), "attempt 1 failed: status 503"),
        (RetryScheduled(attempt=2, wait=0.0, **ERROR), "tries again at once"),
        (GivenUp(attempts=1, reason="budget", **ERROR), "gave up after 1 attempt (budget): ConnectionError"),
        (CallRefused(policy="breaker", name="q", kind="circuit_open"), "refused: circuit open"),
        (CallRefused(policy="retry", name="q", kind="deadline_expired"), "refused: deadline expired"),
        (ProbeAdmitted(policy="breaker", name="q", lease=60.0), "probe admitted, lease 60.000"),
        (TimedOut(policy="timeout", name="q", seconds=2.0, abandoned=True), "timed out after 2.000, abandoned"),
        (TimedOut(policy="timeout", name="q", seconds=2.0, abandoned=False), "timed out after 2.000"),
        (FaultInjected(policy="faults", name="q", fault="error", delay=0.0), "fault: error"),
        (FaultInjected(policy="faults", name="q", fault="status", delay=2.0), "fault: status after 2.000"),
        (FaultsSwitched(policy="faults", name="enabled()", on=True), "faults switched on"),
        (HookError(hook="on_result", **ERROR), "on_result raised ConnectionError"),
        (TripObserved(policy="breaker", name="q", reason="failure rate"), "would have opened (failure rate)"),
        (Transition(from_state="open", to_state="half_open", mode="normal", **MOVED), "open → half-open (why)"),
        (
            Transition(from_state="closed", to_state="open", mode="forced_open", **MOVED),
            "closed → open, forced open (why)",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_event_has_its_words(told: Event, text: str) -> None:
    """Seconds to the millisecond, states as people write them, and a status in place of a result."""
    assert describe(told) == text


def test_a_call_that_ran_out_of_time_is_shown() -> None:
    """The policy and the function it stands around; a long name is cut."""

    @timeout(2.0)
    @retry(on=ConnectionError, attempts=None, within=60.0, wait=0.7)
    def a_function_whose_name_is_longer_than_anybody_would_write_it_by_hand() -> None:
        raise ConnectionError

    with virtual_time(), record_events() as events, pytest.raises(ConnectionError):
        a_function_whose_name_is_longer_than_anybody_would_write_it_by_hand()
    assert str(events).splitlines()[-1] == (
        "     1.400  retry a_function_whose_name_is_longer_than_an…  gave up after 3 attempts (deadline): "
        "ConnectionError"
    )
