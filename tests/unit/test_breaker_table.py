"""The transition table, walked over all pairs of place and input, and the page of the docs that shows it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.support.breaker import FakeClock, a_breaker, admitted, recorded
from tests.support.breaker_table import INPUTS, PLACES, TABLE, rendered

from resilix import BreakerSnapshot, Permit, calls, events

PAGE = Path(__file__).parents[2] / "docs" / "breaker-states.md"
OPEN_FOR = 5.0
LEASE = 2.0
PROBES = 3


class Walk:
    """A breaker in one place, with calls under way, about to get one input."""

    def __init__(self, place: str) -> None:
        self.clock = FakeClock()
        self.breaker = a_breaker(
            self.clock, consecutive=3, failure_rate=0.5, window=calls(8), min_calls=4, open_for=OPEN_FOR,
            probes=PROBES, probe_failures=1, probe_lease=LEASE,
        )  # fmt: skip
        self.place = place
        self.echo = self.breaker.acquire()
        if place == "half_open":
            self.breaker.open(for_=1.0)
            self.clock.advance(1.0)
        else:
            control = {"closed": "close", "observing": "observe", "disabled": "disable", "forced": "force_open"}
            # What is under way in an open place was admitted before it opened.
            self.before = [self.breaker.acquire() for _ in range(PROBES + 1)]
            getattr(self.breaker, control.get(place, "open"))()
        self.call = self.take() if place == "half_open" else admitted(self.breaker) or self.before.pop()

    def take(self) -> Permit:
        """A permit of this place, or (where it is open) of before."""
        return admitted(self.breaker) or self.before.pop()

    def prepare(self, what: str) -> None:
        """Bring the breaker to where the input means what its name says."""
        half_open = self.place == "half_open"
        if what == "call_later":
            self.clock.advance(OPEN_FOR if not half_open else 0.0)
        elif what == "call_all_out" and half_open:
            self.take(), self.take()
        elif what == "call_lease_over":
            if half_open:
                self.take()
            self.clock.advance(LEASE)
        elif what == "success_decides":
            first = (Permit.success, Permit.success) if half_open else (Permit.failure, Permit.failure, Permit.success)
            for settle in first:
                settle(self.take())
        elif what == "failure_decides":
            for _ in range(1 if half_open else 2):
                self.take().failure()

    def give(self, what: str) -> bool | None:
        """Give the input; for a call, whether it was admitted."""
        if what.startswith("call"):
            return admitted(self.breaker) is not None
        if what.startswith(("success", "failure")):
            getattr(self.call, what.partition("_")[0])()
        elif what == "ignored":
            self.call.release()
        elif what == "echo":
            self.echo.failure()
        elif what == "reading":
            assert self.breaker.state == self.breaker.snapshot().state
            assert self.breaker.name in repr(self.breaker)
        elif what == "reconfigure":
            self.breaker.reconfigure(min_calls=3, probe_lease=9.0)
        else:
            getattr(self.breaker, what)()
        return None


def place_of(snapshot: BreakerSnapshot) -> str:
    modes = {"observing": "observing", "disabled": "disabled", "forced_open": "forced"}
    return modes.get(snapshot.mode, snapshot.state.value)


def effect_of(before: BreakerSnapshot, after: BreakerSnapshot, let_in: bool | None, seen: list[Any], what: str) -> str:
    """Say in the table's words what can be seen to have happened."""
    if let_in is not None:
        assert after.rejected - before.rejected == (not let_in)
        probe = any(isinstance(one, events.ProbeAdmitted) for one in seen)
        return "refused" if not let_in else "admitted as a probe" if probe else "admitted"
    if what in ("open", "close", "force_open", "disable", "observe"):
        assert after.probes == after.ignored == 0
        return "a new era"
    said = []
    if after.probes < before.probes:
        said.append("permit back")
    if after.ignored > before.ignored:
        said.append("counted as ignored")
    elif (after.calls, after.failures) != (before.calls, before.failures) or said:
        # That a probe's result counts cannot be seen in a snapshot; a test of its own shows it.
        said.append("counted")
    if any(isinstance(one, events.TripObserved) for one in seen):
        said.append("trip told")
    return ", ".join(said) or "nothing"


@pytest.mark.parametrize(("place", "what"), list(itertools.product(PLACES, INPUTS)))
def test_every_input_in_every_place_does_what_the_table_says(place: str, what: str) -> None:
    """One step from each place by each input: where it led, what happened, what was told."""
    target, effect = TABLE[place, what]
    walk = Walk(place)
    walk.prepare(what)
    before = walk.breaker.snapshot()
    assert place_of(before) == place, "the walk did not begin where it should"
    with recorded(walk.breaker) as seen:
        let_in = walk.give(what)
    after = walk.breaker.snapshot()
    assert place_of(after) == (target or place)
    assert effect_of(before, after, let_in, seen, what) == effect
    if effect == "nothing":
        assert after == before
    told = [(one.from_state, one.to_state, one.mode) for one in seen if isinstance(one, events.Transition)]
    moved = place_of(after) != place
    assert told == ([(before.state.value, after.state.value, after.mode)] if moved else [])


def test_a_probe_result_counts_towards_the_decision() -> None:
    """Half-open, "counted" means: one success fewer is needed, or one failure fewer allowed."""
    for what, then, state in (("success", "success", "closed"), ("failure", "failure", "open")):
        walk = Walk("half_open")
        walk.give(what)
        while walk.breaker.state == "half_open":
            getattr(walk.take(), then)()
        assert walk.breaker.state == state
    walk = Walk("half_open")
    walk.give("ignored")
    assert [admitted(walk.breaker) is not None for _ in range(PROBES + 1)] == [True] * PROBES + [False]


def test_the_table_covers_every_pair() -> None:
    """No cell is missing and none is made up."""
    assert set(TABLE) == set(itertools.product(PLACES, INPUTS))


def test_the_page_shows_this_table() -> None:
    """The docs say what the tests walked; ``python -m tests.support.breaker_table`` prints the page anew."""
    assert PAGE.read_text(encoding="utf-8") == rendered()
