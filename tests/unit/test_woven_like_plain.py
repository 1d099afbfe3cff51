"""Plain first, woven second: a woven function means exactly what the shells mean that it stands for."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.support.woven_mutants import MUTANTS, planted
from tests.support.woven_ways import WAYS

pytestmark = pytest.mark.sets_weaving

SCRIPTS = {"sync": 1200, "asyncio": 1200, "trio": 400}
SEEDS = [range(start, start + 50) for start in range(0, 600, 50)]
"""The scripts of each way that may pass before one finds a mistake."""
EVERYWHERE = (
    "works", "value", "error", "own policy", "foreign", "instead", "own wait", "own stop", "own retry", "builtin",
    "AttemptFailed", "RetryScheduled", "GivenUp", "Transition", "CallRefused", "CallAdmitted", "FallbackServed",
    "HookError", "ConnectionError", "CircuitOpenError", "BulkheadFullError", "DeadlineExpiredError", "TypeError",
    "KeyboardInterrupt", "GeneratorExit", "half_open", "observing", "disabled", "forced_open", "reconfigure",
    "first deadline", "listen", "deaf", "hold", "retries", "exhausted",
)  # fmt: skip
"""What the scripts must really go through, whichever way they are played."""
HAPPENINGS = {
    "sync": (*EVERYWHERE, "sleep", "parked", "hangs", "TimedOut", "abandoned", "TripObserved", "ProbeAdmitted"),
    "asyncio": (*EVERYWHERE, "asleep", "suspended", "cancel", "CancelledError", "TimedOut", "timeouts"),
    "trio": (*EVERYWHERE, "asleep", "cancel", "Cancelled", "TimedOut", "timeouts"),
}


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Broken hooks are logged; here thousands break."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("way", SCRIPTS)
def test_thousands_of_random_scripts_look_the_same_woven_and_plain(way: str) -> None:
    """Results, errors, events, figures of all policies, tallies, sleeps, and what the user's own code is given."""
    seen: Counter[str] = Counter()
    for seed, woven, plain in WAYS[way](range(SCRIPTS[way])):
        assert woven == plain, f"seed {seed}"
        seen.update(one for one in HAPPENINGS[way] if any(f"'{one}'" in entry for entry in woven))
    rare = [one for one in HAPPENINGS[way] if seen[one] < 3]
    assert not rare, f"hardly ever happened, so the comparison says little of it: {rare}"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_in_the_quiet_lines_is_found(name: str) -> None:
    """The comparison can fail: each planted mistake makes a script differ, or loses a place."""
    with planted(name):
        found = any(_differs(way, seeds) for seeds in SEEDS for way in WAYS)
    assert found, f"nobody noticed that {name}"


def _differs(way: str, seeds: range) -> bool:
    try:
        return any(woven != plain for _, woven, plain in WAYS[way](seeds))
    except Exception:  # a place was lost, or the script came to no end
        return True
