"""The state machine asked directly: reports that come late, twice, or while it is being changed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.breaker import FakeClock, a_breaker

from resilix import BulkheadFullError, CircuitState, ConfigurationError, RejectedError, Verdict
from resilix.core.breaker import BreakerCore
from resilix.core.era import Mode, Ticket
from resilix.core.window import Counts, CountWindow


def a_core(**options: Any) -> BreakerCore:
    """The state machine of a breaker that opens at the first failure, at time 0."""
    return a_breaker(FakeClock(0.0), **{"consecutive": 1, **options})._core


def test_an_outcome_of_a_quiet_call_from_an_earlier_era_changes_nothing() -> None:
    """A call that closes the breaker by hand while it runs reports its failure to an era that is over."""
    breaker = a_breaker(consecutive=1)

    @breaker
    def closes_and_fails() -> None:
        breaker.close()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        closes_and_fails()
    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.CLOSED, 0)


def test_a_ticket_settled_twice_counts_once() -> None:
    """The first report stands; a second one, by another thread say, changes nothing."""
    core = a_core(consecutive=2)
    ticket = core.admit(0.0)
    assert isinstance(ticket, Ticket)
    core.settle(ticket, Verdict.FAILURE, 0.0, slow=False)
    core.settle(ticket, Verdict.FAILURE, 0.0, slow=False)
    assert (core.era.state, core.era.window.counts(0.0)) == (CircuitState.CLOSED, Counts(1, 1, 0))


class Interrupting(CountWindow):
    """A window in whose counting a signal handler closes the breaker."""

    def __init__(self, core: BreakerCore) -> None:
        super().__init__(10)
        self.core = core

    def counts(self, now: float) -> Counts:
        self.core.take(now, Mode.NORMAL, "closed by a signal handler")
        return super().counts(now)


def test_a_breaker_closed_while_a_failure_is_counted_stays_closed() -> None:
    """The failure belonged to the era before: it must not open the one that has just begun."""
    core = a_core()
    old = core.era
    old.window = Interrupting(core)
    core.report(old, Verdict.FAILURE, 0.0)
    assert core.era is not old
    assert (core.era.state, core.era.reason) == (CircuitState.CLOSED, "closed by a signal handler")


def test_nothing_to_announce_is_said_so() -> None:
    """Two threads may want to announce the same transition: the second finds none."""
    core = a_core()
    core.report(core.era, Verdict.FAILURE, 0.0)
    assert core.next_change() is not None
    assert core.next_change() is None


def test_a_refusal_counted_under_the_lock_is_counted() -> None:
    """The way of interpreters without a GIL."""
    core = a_core()
    core.refused()
    core.refused()
    assert core.rejected == 2


def test_a_forked_child_keeps_what_a_closed_breaker_has_counted() -> None:
    """Only probes belong to callers of the parent; counts are about the dependency."""
    core = a_core(consecutive=5)
    core.report(core.era, Verdict.FAILURE, 0.0)
    era = core.era
    core.after_fork()
    assert core.era is era
    assert era.window.counts(0.0) == Counts(1, 1, 0)


@pytest.mark.parametrize("on", [RejectedError, (RejectedError, BulkheadFullError)])
def test_a_breaker_that_counts_only_refusals_is_refused(on: object) -> None:
    """Refusals by our own policies are never counted, so nothing could open it."""
    with pytest.raises(ConfigurationError, match="on="):
        a_breaker(on=on)
