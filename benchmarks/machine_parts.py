"""The breaker's state machine without decorator and function: what ``machine.py`` drives, and how.

This is the only place of the benchmarks that knows how the state machine is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

from benchmarks.parts import NEVER, AnyFunction, Names
from benchmarks.paths import Path
from resilix import CircuitBreaker
from resilix.core.breaker import BreakerCore, Ticket
from resilix.core.settings import UNREACHABLE, BreakerSettings, Calls, calls
from resilix.core.verdict import Verdict

SECONDS = 30.0
"""Length of every time window, and of an opening."""
EMPTY, HALF, FULL = "empty", "half full", "full of failures"
FILLS = {EMPTY: 0.0, HALF: 0.5, FULL: 1.0}
"""Share of the window's calls that failed before anything is measured."""
COUNT_WINDOW, TIME_WINDOW = "count window", "time window"
KINDS = (COUNT_WINDOW, TIME_WINDOW)
KEYS = "breakers in turn"


class Machine:
    """One state machine on a clock that is moved by its user.

    Attributes:
        core: The state machine.
        now: What its clock says.
        tick: Seconds from call to call, so that a time window holds ``size`` calls.
        breaker: The public breaker, where there is one; it has a state machine of its own.
    """

    __slots__ = ("breaker", "core", "now", "tick")

    def __init__(self, kind: str, size: int, *, trips_at: float = UNREACHABLE) -> None:
        self.now = 0.0
        self.tick = SECONDS / size
        self.core = BreakerCore(_settings(kind, size, trips_at), self.now, watchful=False)
        self.breaker: CircuitBreaker | None = None

    def fill(self, share: float, size: int) -> None:
        """Let ``share`` of the window's calls fail, the first ones, and the rest go well."""
        for number in range(size):
            self.now += self.tick
            verdict = Verdict.FAILURE if number < share * size else Verdict.SUCCESS
            self.core.report(self.core.era, verdict, self.now)

    def publish(self, kind: str, size: int) -> None:
        """Make the public breaker, on the same clock."""
        window: Any = calls(size) if kind == COUNT_WINDOW else SECONDS
        self.breaker = CircuitBreaker(Names.new(), window=window, clock=lambda: self.now, **NEVER)


def _settings(kind: str, size: int, trips_at: float) -> BreakerSettings:
    return BreakerSettings(
        consecutive=trips_at, failure_rate=UNREACHABLE, slow_rate=UNREACHABLE, slow_after=None,
        window=Calls(size) if kind == COUNT_WINDOW else SECONDS, min_calls=1, open_for=SECONDS, open_for_function=None,
        probes=1, probe_failures=0, probe_lease=60.0,
    )  # fmt: skip


# -- one step each ----------------------------------------------------------------------------------------------------


def nothing(machine: Machine) -> None:
    """What the benchmark itself takes: the clock is moved."""
    machine.now += machine.tick


def quiet(machine: Machine) -> None:
    """A success on the quiet path, as the generated wrappers do it."""
    now = machine.now = machine.now + machine.tick
    core = machine.core
    era = core.quiet
    if era is None:
        raise RuntimeError("this breaker is not quiet")
    counter = era.counter
    if counter is None or now >= counter.edge:
        core.report(era, Verdict.SUCCESS, now)
    else:
        counter.n += 1.0


def _through(verdict: Verdict, *, slow: bool) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        now = machine.now = machine.now + machine.tick
        core = machine.core
        ticket = core.admit(now)
        if not isinstance(ticket, Ticket):
            raise TypeError("this breaker refuses")
        core.settle(ticket, verdict, now, slow=slow)

    return step


success = _through(Verdict.SUCCESS, slow=False)
failure = _through(Verdict.FAILURE, slow=False)
slow_call = _through(Verdict.SUCCESS, slow=True)


def acquired(machine: Machine) -> None:
    """The public way: a permit, and its success."""
    machine.now += machine.tick
    assert machine.breaker is not None
    machine.breaker.acquire().success()


def refusal(machine: Machine) -> None:
    """A call that an open breaker turns away."""
    machine.core.admit(machine.now)


def round_trip(machine: Machine) -> None:
    """A failure opens it, the time is over, a probe is admitted and closes it: three transitions."""
    core = machine.core
    core.report(core.era, Verdict.FAILURE, machine.now)
    machine.now += SECONDS
    probe = core.admit(machine.now)
    if not isinstance(probe, Ticket):
        raise TypeError("no probe was admitted")
    core.settle(probe, Verdict.SUCCESS, machine.now, slow=False)
    while core.next_change() is not None:
        pass


Step = Callable[[Machine], None]

ALONE, PUBLIC = "the benchmark alone", "acquire(), success()"
REFUSAL, ROUND_TRIP = "refusal", "trip, half-open, closing"
FILLED = ("quiet success", "admit, settle: success", "admit, settle: failure", "admit, settle: slow")
"""Steps to which it may matter what the window holds."""
STEPS: dict[str, Step] = {
    ALONE: nothing, **dict(zip(FILLED, (quiet, success, failure, slow_call), strict=True)),
    PUBLIC: acquired, REFUSAL: refusal, ROUND_TRIP: round_trip,
}  # fmt: skip
TURNING = (REFUSAL, ROUND_TRIP)
KEYED = [name for name in STEPS if name != PUBLIC]
"""Steps of many state machines in turn; a hundred thousand public breakers would all be registered."""


# -- variants ---------------------------------------------------------------------------------------------------------


def in_turn(step: Step, machines: Iterable[Machine]) -> AnyFunction:
    """A function of one argument that makes one step, of the next machine each time."""
    following = cycle(machines).__next__

    def call(value: int) -> None:
        step(following())

    return call


def made(name: str, kind: str, size: int, fill: str = EMPTY) -> Machine:
    """A machine for a step, in the state it needs."""
    machine = Machine(kind, size, trips_at=1 if name == ROUND_TRIP else UNREACHABLE)
    machine.fill(FILLS[fill], size if fill != EMPTY else 0)
    if name == REFUSAL:
        machine.core.open(machine.now, 1e18, "by hand")
        machine.core.next_change()
    if name == PUBLIC:
        machine.publish(kind, size)
    return machine


def by_size(name: str, kind: str, fill: str, sizes: Iterable[int]) -> dict[int, AnyFunction]:
    """One step, of one machine for each size of its window."""
    step = STEPS[name]
    return {size: in_turn(step, [made(name, kind, size, fill)]) for size in sizes}


def by_keys(name: str, numbers: Iterable[int]) -> dict[int, AnyFunction]:
    """One step, of so many machines in turn; each with a window of a hundred calls."""
    return {number: in_turn(STEPS[name], _crowd(name if name in TURNING else ALONE, number)) for number in numbers}


@functools.cache
def _crowd(name: str, number: int) -> list[Machine]:
    """So many machines; those that stay closed serve all steps."""
    return [made(name, COUNT_WINDOW, 100) for _ in range(number)]


def cases() -> list[tuple[str, str, str]]:
    """Step, kind of window and fill, for all that is measured by size."""
    filled = [(name, kind, fill) for name in FILLED for kind in KINDS for fill in FILLS]
    # For the others an empty window says all; each transition makes a new one.
    return filled + [(name, kind, EMPTY) for name in (PUBLIC, REFUSAL, ROUND_TRIP) for kind in KINDS]


LARGE = 10_000
"""A window that a counted step's few thousand calls leave nearly as full as they found it."""


def _large(name: str, kind: str, size: int, fill: str) -> Machine:
    """A full machine that the steps share: under callgrind it takes half a minute to fill the largest."""
    return _filled(kind, size)


@functools.cache
def _filled(kind: str, size: int) -> Machine:
    return made("", kind, size, FULL)


def paths(sizes: Sequence[int], numbers: Sequence[int]) -> dict[str, Path]:
    """Everything that is counted rather than timed, by a name that :func:`told` reads."""
    found: dict[str, AnyFunction] = {}
    for name, kind, fill in cases():
        if fill == HALF:  # under callgrind it takes minutes to fill them, and it lies between the others
            continue
        for size in sizes:
            machine = (_large if size >= LARGE and fill == FULL else made)(name, kind, size, fill)
            found[f"{name}|{kind}|{fill}|{size}"] = in_turn(STEPS[name], [machine])
    for name in KEYED:
        found |= {f"{name}|{KEYS}||{number}": fn for number, fn in by_keys(name, numbers).items()}
    return {name: Path(fn, False) for name, fn in found.items()}


def worst_steps(size: int) -> dict[str, Callable[[], Callable[[], object]]]:
    """Single steps that are dearest with a large window, by what they do; each made anew for one call."""

    def aged(kind: str) -> Callable[[], object]:
        machine = made("", kind, size, FULL)
        for _ in range(size + 1):
            quiet(machine)
        return lambda: failure(machine)

    def tripping(kind: str) -> Callable[[], object]:
        machine = made("", kind, size, FULL)
        return lambda: machine.core.open(machine.now, 1.0, "by hand")

    return {
        f"first failure after a {COUNT_WINDOW} of failures has aged out": lambda: aged(COUNT_WINDOW),
        f"first failure after a {TIME_WINDOW} of failures has aged out": lambda: aged(TIME_WINDOW),
        f"opening with a {COUNT_WINDOW} of failures": lambda: tripping(COUNT_WINDOW),
        f"opening with a {TIME_WINDOW} of failures": lambda: tripping(TIME_WINDOW),
    }


def told(counts: dict[str, float]) -> dict[tuple[str, str, str], dict[int, float]]:
    """The counts of :func:`paths` by step, kind and fill, and then by size."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for key, count in counts.items():
        name, kind, fill, size = key.split("|")
        found.setdefault((name, kind, fill), {})[int(size)] = count
    return found
