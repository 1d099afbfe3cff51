"""A record keeps what happened with its moment, and says in words what was expected and where that broke."""

from __future__ import annotations

import asyncio
import functools
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.support.breaker import run_threads

from resilix import CircuitBreaker, ConfigurationError, RejectedError, fallback, retry
from resilix.event_types import AttemptFailed, CallAdmitted, CallRefused, Event, RetryScheduled, Transition
from resilix.events import HUB
from resilix.testing import EventRecord, Recorded, event, record_events, virtual_time
from resilix.testing.event_kinds import KINDS, Pattern, pattern_of
from resilix.testing.event_sequence import breach


def failing(error: type[Exception] = ConnectionError) -> Any:
    raise error("secret")


@functools.cache
def one_outage() -> EventRecord:
    """Two attempts, the breaker opens, the next call is refused, and a probe closes it again."""
    quotes = CircuitBreaker("recorded", consecutive=2, open_for=5.0)
    again = retry(on=ConnectionError, attempts=2, wait=0.1)
    served = fallback(None, on=(RejectedError, ConnectionError))
    with virtual_time() as time, record_events() as events:
        for _ in range(2):
            assert served.call(again(quotes(failing))) is None
        time.advance(5.0)
        quotes.call(int)
    return events


def said(act: Callable[[], object]) -> str:
    """What a failed assertion says."""
    with pytest.raises(AssertionError) as failed:
        act()
    return str(failed.value)


# -- sequences -----------------------------------------------------------------------------------------------------


def test_a_sequence_reads_like_a_sentence() -> None:
    """Words, classes, and fields; other kinds of event are not looked at."""
    events = one_outage()
    events.assert_sequence("attempt failed", "retry", "attempt failed", "gave up")
    events.assert_sequence("opened", "refused", "half-open", "probe", "closed")
    events.assert_sequence(event("retry", wait=0.1), event(Transition, to_state="open"), ...)
    events.assert_sequence(event("attempt failed", error=ConnectionError, attempt=1), ...)
    events.assert_sequence(..., event("refused", retry_after=lambda seconds: 4 < seconds <= 5))
    events.assert_sequence(Transition, Transition, Transition)


def test_a_sequence_is_exact_for_the_kinds_it_names() -> None:
    """One more, one fewer, and one in the wrong place are all told apart."""
    events = one_outage()
    assert "one event too many: attempt 2 failed" in said(lambda: events.assert_sequence("attempt failed"))
    assert "'" not in said(lambda: events.assert_sequence("retry", "attempt failed")).splitlines()[0]
    assert said(lambda: events.assert_sequence("retry", "attempt failed", "attempt failed")).startswith(
        "expected retry, found: attempt 1 failed: ConnectionError"
    )
    assert said(lambda: events.assert_sequence("opened", "closed", "closed")).startswith(
        "closed was expected and never came"
    )
    only_opened = event("transition", to_state="open")
    assert said(lambda: events.assert_sequence(only_opened)).startswith("one event too many: open → half-open")


@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ((..., "closed"), True),
        (("opened", ...), True),
        (("opened", ..., "closed"), True),
        ((..., "half-open", ...), True),
        (("opened", ..., "half-open", ..., "closed"), True),
        ((..., "opened", "half-open", ...), True),
        (("opened", "closed"), True),
        (("closed", ..., "opened"), False),
        ((..., "closed", "closed"), False),
        (("opened", ..., "opened"), False),
        ((..., "opened", ..., "opened", ...), False),
        ((..., "opened"), True),
    ],
)
def test_an_ellipsis_stands_for_any_number_of_events(expected: tuple[Any, ...], holds: bool) -> None:
    """At the beginning, in the middle and at the end; the rest is exact."""
    events = one_outage()
    if holds:
        events.assert_sequence(*expected)
    else:
        said(lambda: events.assert_sequence(*expected))


LETTERS = {
    "a": CallAdmitted(policy="breaker", name="a"),
    "b": CallAdmitted(policy="breaker", name="b"),
    "c": CallAdmitted(policy="breaker", name="c"),
}


@given(st.text("ab*", min_size=1, max_size=8), st.text("abc", max_size=10))
def test_sequences_hold_when_the_regular_expression_matches(expected: str, happened: str) -> None:
    """An ellipsis is ``.*``, and a breach is always at an event, or at the end."""
    patterns = [... if one == "*" else pattern_of(LETTERS[one]) for one in expected]
    seen = [LETTERS[one] for one in happened]
    broken = breach(patterns, seen)
    assert (broken is None) == bool(re.fullmatch(expected.replace("*", ".*"), happened))
    if broken is not None:
        assert 0 <= broken.at <= len(seen)
        assert broken.what
        assert broken.note


# -- counts and absence --------------------------------------------------------------------------------------------


def test_counts_are_compared_for_what_is_named() -> None:
    """By words with underscores, by classes and patterns; all that is wrong is said at once."""
    events = one_outage()
    events.assert_counts(attempt_failed=2, retry=1, opened=1, refused=1, fallback=2, would_have_opened=0)
    events.assert_counts({Transition: 3, event("transition", to_state="open"): 1}, closed=1)
    text = said(lambda: events.assert_counts(retry=3, refused=1, opened=0))
    assert text.splitlines()[:2] == ["retry: expected 3, found 1", "opened: expected 0, found 1"]
    assert [line.split()[2] for line in text.splitlines() if line.startswith(">")] == ["retry", "breaker"]


def test_what_did_not_happen_can_be_asserted() -> None:
    """Some kinds, or everything but some; that a call was admitted is no news."""
    events = one_outage()
    events.assert_none("timed out", "hook error", event("opened", name="others"))
    events.assert_no_other("attempt failed", "retry", "gave up", "transition", "refused", "fallback", "probe")
    assert said(lambda: events.assert_none("opened", "refused")).startswith(
        "expected no opened or refused; found 2, first: closed → open"
    )
    assert said(lambda: events.assert_no_other("retry")).startswith("expected nothing but retry; found")
    assert said(events.assert_none).startswith("expected nothing but admitted calls; found")
    with record_events() as quiet:
        CircuitBreaker("good").call(int)
    quiet.assert_none()
    quiet.assert_no_other()
    assert [type(one) for one in quiet] == [CallAdmitted]


def test_a_part_of_a_record_is_a_record() -> None:
    """Of one name, of one policy, of some kinds; a function of a test is known by the end of its label."""
    again = retry(on=ConnectionError, attempts=2, wait=0.0)

    @again
    def price() -> None:
        raise ConnectionError

    others = CircuitBreaker("others", consecutive=1)
    with record_events() as events:
        for call in (price, others(failing)):
            with pytest.raises(ConnectionError):
                call()
    assert len(events) == 6
    assert [one.policy for one in events.only(name="others")] == ["breaker"] * 2
    assert len(events.only(name="price")) == 4
    assert len(events.only(name=price.__qualname__)) == 4
    assert len(events.only(policy="retry")) == 4
    events.only("opened", "retry", name="others").assert_sequence("opened")
    events.only(event("attempt failed", attempt=2)).assert_counts(attempt_failed=1)
    assert repr(events.only("opened")) == "<1 events>"


def test_a_mode_that_changes_without_the_state_has_words_of_its_own() -> None:
    """A breaker that is told to observe is closed before and after: it has not closed."""
    breaker = CircuitBreaker("modes", consecutive=1)
    with record_events() as events:
        breaker.observe()
        with pytest.raises(ConnectionError):
            breaker.call(failing)
        breaker.disable()
        breaker.force_open()
        breaker.close()
    events.assert_sequence("observing", "would have opened", "disabled", "forced open", "closed")
    events.assert_counts(transition=4, opened=1, closed=1)


# -- recording -----------------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_policies_clock() -> None:
    """Virtual time begins at zero; real seconds are counted from the beginning of the record."""
    events = one_outage()
    moments = {KIND: at for at, one in events.entries for KIND in [type(one).__name__]}
    assert moments == pytest.approx(
        {
            "CallAdmitted": 5.1,
            "AttemptFailed": 0.1,
            "RetryScheduled": 0.0,
            "GivenUp": 0.1,
            "FallbackServed": 0.1,
            "Transition": 5.1,
            "CallRefused": 0.1,
            "ProbeAdmitted": 5.1,
        }
    )
    with record_events() as real:
        CircuitBreaker("real").call(int)
    assert 0.0 <= real.entries[0].at < 30.0


def test_a_record_goes_on_through_the_beginning_and_the_end_of_virtual_time() -> None:
    """Inside, the moments are virtual; afterwards it counts on from there."""
    breaker = CircuitBreaker("through")
    with record_events() as events:
        breaker.call(int)
        with virtual_time() as time:
            time.advance(100.0)
            breaker.call(int)
        breaker.call(int)
    before, inside, after = (one.at for one in events.entries)
    assert before < 30.0
    assert inside == 100.0
    assert 100.0 <= after < 130.0


def test_threads_and_event_loops_write_into_one_record() -> None:
    """Nothing is lost, whoever makes the calls."""
    breaker = CircuitBreaker("everybody")

    async def work() -> None:
        for _ in range(50):
            await breaker.acall(afine)

    async def afine() -> None: ...

    def threads() -> None:
        for _ in range(50):
            breaker.call(int)

    with record_events() as events:
        run_threads([threads, threads, lambda: asyncio.run(work()), lambda: trio.run(work)])
    events.assert_counts(admitted=200)
    assert [one.at for one in events.entries] == sorted(one.at for one in events.entries)


def test_a_record_is_bounded_and_does_not_pretend_to_be_whole() -> None:
    """Assertions about the whole fail when something is missing, and say what to do."""
    breaker = CircuitBreaker("many")
    with record_events(limit=3) as events:
        for _ in range(5):
            breaker.call(int)
    assert len(events) == 3
    for act in (
        lambda: events.assert_counts(admitted=3),
        lambda: events.assert_none("opened"),
        lambda: events.only("admitted").assert_sequence("admitted", ...),
    ):
        assert "2 later events were not kept" in said(act)


def test_without_a_block_it_is_started_and_stopped() -> None:
    """Each start begins an empty record, and one that runs is not started again."""
    breaker, events = CircuitBreaker("by hand"), record_events()
    before = len(HUB.listeners)
    events.start()
    breaker.call(int)
    with pytest.raises(ConfigurationError, match="being written already"):
        events.start()
    events.stop()
    events.stop()
    breaker.call(int)
    assert len(events) == 1
    events.start()
    assert len(events) == 0
    events.stop()
    assert len(HUB.listeners) == before


def test_assertions_work_while_it_is_still_being_written() -> None:
    """From any thread."""
    breaker, checked = CircuitBreaker("still"), threading.Event()
    with record_events() as events:
        breaker.call(int)

        def check() -> None:
            events.assert_counts(admitted=1)
            checked.set()

        run_threads([check])
        breaker.call(int)
        events.assert_counts(admitted=2)
    assert checked.is_set()


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda events: events.assert_none("opend"), "'opend' is no kind of event, did you mean 'opened'"),
        (lambda events: events.assert_counts(zzz=1), "'zzz' is no kind of event; there are 'admitted', "),
        (lambda events: events.assert_sequence(4), r"4 is no kind of event; write a word such as"),
        (lambda events: events.assert_sequence(int), "no kind of event"),
        (lambda events: events.assert_sequence(), "it says nothing about any event"),
        (lambda events: events.assert_sequence(...), "it says nothing about any event"),
        (lambda events: event("retry", waits=1), "RetryScheduled has no such field; it has policy, name, "),
        (lambda events: events.only("opened", policy="braker"), r"policy='braker'.*, did you mean 'breaker'\?"),
        (lambda events: events.only(policy=CircuitBreaker), "there are 'breaker', 'bulkhead', "),
        (lambda events: events.assert_counts(opened=-1), "so many of them; write 0 or more"),
        (lambda events: events.assert_counts({"opened": "1"}), "so many of them"),
        (lambda events: events.assert_counts(opened=True), "so many of them"),
        (lambda events: events.assert_counts(), "it says nothing about any event"),
        (lambda events: record_events(limit=0), "limit"),
    ],
)
def test_a_mistake_in_an_expectation_is_said(act: Callable[[EventRecord], object], text: str) -> None:
    """A misspelt word must not make an assertion hold."""
    with pytest.raises(ConfigurationError, match=text):
        act(one_outage())


@pytest.mark.parametrize(
    "act",
    [
        lambda events: events.assert_none("opened"),
        lambda events: events.assert_no_other(),
        lambda events: events.assert_counts(opened=0),
        lambda events: events.assert_sequence(..., "opened"),
        lambda events: events.only("opened"),
    ],
)
def test_a_record_that_was_never_begun_says_nothing_about_what_happened(act: Callable[[EventRecord], object]) -> None:
    """A forgotten ``with`` must not make an assertion hold."""
    with pytest.raises(ConfigurationError, match=r"never begun; write with record_events\(\) as events"):
        act(record_events())


def test_a_policy_of_the_users_own_kind_can_be_asked_for_where_it_is_recorded() -> None:
    """Its kind is known by its events."""
    with record_events() as events:
        HUB.emit(CallRefused(policy="limiter", name="slots", kind="bulkhead_full"))
    assert len(events.only(policy="limiter")) == 1


def test_every_kind_of_event_has_a_word_and_matches_only_its_own() -> None:
    """Also one that was made after these words were; and a pattern shows what it wants."""
    refused = CallRefused(policy="bulkhead", name="slots", kind="bulkhead_full")
    assert [word for word, kind in KINDS.items() if kind.has(refused)] == ["refused"]

    class FaultMade(Event):
        """One that we have no word for."""

    record = EventRecord([Recorded(1.0, FaultMade(policy="fault", name="payments"))])
    record.assert_sequence(FaultMade)
    record.assert_sequence(event(FaultMade, name="payments"))
    assert str(record) == "     1.000  fault payments  fault made"
    assert repr(event("retry", wait=0.5, error=OSError)) == "retry (wait=0.5, error=OSError)"
    assert repr(pattern_of(refused)) == repr(refused)
    assert pattern_of(refused).fits(CallRefused(policy="bulkhead", name="slots", kind="bulkhead_full"))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"wait": 0.1 + 0.2}, True),
        ({"wait": 0.3}, True),
        ({"wait": 0.3001}, False),
        ({"wait": 0}, False),
        ({"attempt": 2}, True),
        ({"attempt": lambda number: number > 2}, False),
        ({"error": OSError}, True),
        ({"error": ValueError}, False),
        ({"error_type": "ConnectionError", "name": "price"}, True),
        ({"attributes": {}}, True),
    ],
)
def test_fields_are_compared_as_a_person_means_it(fields: dict[str, Any], fits: bool) -> None:
    """Durations nearly, classes by instance, functions by asking, the rest by equality."""
    error = ConnectionError()
    scheduled = RetryScheduled(
        policy="retry", name="price", error=error, error_type="ConnectionError", attempt=2, wait=0.3
    )
    pattern: Pattern = event("retry", **fields)
    assert pattern.fits(scheduled) is fits
    assert not pattern.fits(AttemptFailed(policy="retry", name="price", error=error, error_type="X", attempt=2))
