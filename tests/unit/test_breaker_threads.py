"""The breaker with many threads at once. No assertion depends on how fast the machine is."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from tests.support.breaker import LONG, FakeClock, a_breaker, admitted, boom, hasty_threads, recorded, run_threads

from resilix import CircuitBreaker, CircuitOpenError, Permit, calls, events

THREADS = 16


@pytest.mark.parametrize("probes", [1, 3, 5])
def test_sixteen_threads_on_a_half_open_breaker_admit_exactly_the_probes(probes: int) -> None:
    """However many threads ask in the same moment, no more than ``probes`` get through, and no fewer."""
    for _ in range(20):
        clock = FakeClock()
        breaker = a_breaker(clock, probes=probes, open_for=1.0)
        breaker.open()
        clock.advance(1.0)
        ran = itertools.count()
        released = threading.Event()
        refused: list[float | None] = []

        def probe(ran: itertools.count[int] = ran, released: threading.Event = released) -> None:
            next(ran)
            assert released.wait(LONG)

        def ask(
            breaker: CircuitBreaker = breaker,
            probe: object = probe,
            released: threading.Event = released,
            refused: list[float | None] = refused,
        ) -> None:
            try:
                breaker.call(probe)  # type: ignore[arg-type]
            except CircuitOpenError as error:
                refused.append(error.retry_after)
                if len(refused) == THREADS - probes:
                    released.set()

        with hasty_threads():
            run_threads([ask] * THREADS)
        assert next(ran) == probes
        assert len(refused) == breaker.snapshot().rejected == THREADS - probes
        assert breaker.state == "closed"


@pytest.mark.parametrize("probes", [1, 3, 5])
def test_probes_that_give_their_permit_back_never_leave_too_many_in_flight(probes: int) -> None:
    """While 16 threads take and release, at most ``probes`` are out, and in the end none is missing."""
    clock = FakeClock()
    breaker = a_breaker(clock, probes=probes, open_for=1.0)
    breaker.open()
    clock.advance(1.0)
    out: list[Permit] = []
    most = [0]

    def take_and_release() -> None:
        for _ in range(300):
            permit = admitted(breaker)
            if permit is not None:
                out.append(permit)
                most[0] = max(most[0], len(out))
                out.remove(permit)
                permit.release()

    with hasty_threads():
        run_threads([take_and_release] * THREADS)
    assert 1 <= most[0] <= probes
    assert breaker.snapshot().probes == 0
    assert [admitted(breaker) is not None for _ in range(probes + 1)] == [True] * probes + [False]


@pytest.mark.parametrize("window", [calls(10**6), 10.0], ids=["calls", "seconds"])
def test_eight_threads_times_100000_calls_count_exactly(window: object) -> None:
    """No success, failure or ignored outcome is lost or counted twice."""
    each, every = 100_000, 1_000
    breaker = a_breaker(consecutive=None, failure_rate=1.0, window=window, on=ConnectionError)
    ok, bad, odd = breaker(_fine), breaker(boom), breaker(_key_error)

    def work() -> None:
        for _ in range(each // every):
            for _ in range(every - 2):
                ok()
            with pytest.raises(ConnectionError):
                bad()
            with pytest.raises(KeyError):
                odd()

    with hasty_threads():
        run_threads([work] * 8)
    seen = breaker.snapshot()
    rounds = 8 * each // every
    assert (seen.calls, seen.failures, seen.ignored) == (rounds * (every - 1), rounds, rounds)


def _fine() -> str:
    return "answer"


def _key_error() -> None:
    raise KeyError


def test_permits_settled_by_many_threads_at_once_settle_once() -> None:
    """Sixteen threads report the same call: one report counts."""
    breaker = a_breaker(window=calls(1000))
    breaker.observe()
    permits = [breaker.acquire() for _ in range(200)]

    def settle() -> None:
        for permit in permits:
            permit.failure()

    with hasty_threads():
        run_threads([settle] * THREADS)
    assert breaker.snapshot().calls == breaker.snapshot().failures == 200


def test_transitions_are_told_in_the_order_they_happened() -> None:
    """Several threads flip the breaker: each told transition begins where the one before it ended."""
    breaker = a_breaker(consecutive=1)

    def flip() -> None:
        for step in range(200):
            if step % 3 == 0:
                breaker.open()
            elif step % 3 == 1:
                breaker.close()
            else:
                try:
                    breaker.call(boom)
                except (ConnectionError, CircuitOpenError):
                    continue

    with recorded(breaker) as seen, hasty_threads():
        run_threads([flip] * 6)
    steps = [(one.from_state, one.to_state) for one in seen if isinstance(one, events.Transition)]
    assert len(steps) > 100
    assert steps[0][0] == "closed"
    assert all(before[1] == after[0] for before, after in itertools.pairwise(steps))
    assert steps[-1][1] == breaker.state


def test_reconfigured_by_several_threads_every_change_holds() -> None:
    """Changes of different options made in the same moment do not undo one another."""
    for step in range(1, 60):
        breaker = a_breaker()

        def change(option: str, breaker: CircuitBreaker = breaker, step: int = step) -> None:
            breaker.reconfigure(**{option: step})

        options = ["consecutive", "min_calls", "open_for", "probe_lease", "probes"]
        with hasty_threads(1e-6):
            run_threads([lambda option=option, change=change: change(option) for option in options])  # type: ignore[misc]
        settings = breaker._core.settings
        assert [getattr(settings, option) for option in options] == [step] * len(options)


def test_whatever_line_of_the_core_is_interrupted_it_neither_hangs_nor_goes_wrong() -> None:
    """A signal handler or the garbage collector may run anywhere, under the breaker's lock too, and use it there."""
    for operation, handler in itertools.product(OPERATIONS, HANDLERS):
        for line in itertools.count():
            story = Interrupted(line, HANDLERS[handler])
            run_threads([lambda story=story, operation=operation: story.run(OPERATIONS[operation])])  # type: ignore[misc]
            seen = story.breaker.snapshot()
            assert 0 <= seen.probes <= PROBES
            assert 0 <= seen.failures <= seen.calls <= 8
            story.breaker.close()
            assert story.breaker.call(_fine) == "answer"
            if not story.happened:
                break
        assert line > 3, "the core was hardly seen"


PROBES = 2


class Interrupted:
    """One operation on a breaker, with a handler run at one line of the core."""

    def __init__(self, line: int, handler: Callable[[Interrupted], object]) -> None:
        self.clock = FakeClock()
        self.breaker = a_breaker(self.clock, consecutive=2, window=calls(8), probes=PROBES, open_for=1.0)
        self.permits: list[Permit] = []
        self.handler = handler
        self.lines_left = line
        self.happened = False

    def run(self, operation: Callable[[Interrupted], object]) -> None:
        prepared = operation(self)
        assert callable(prepared)
        sys.settrace(self._trace)
        try:
            prepared()
        except (ConnectionError, CircuitOpenError):
            return
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, what: str, _: object) -> Any:
        if "/core/" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        if what == "line" and not self.happened:
            if self.lines_left == 0:
                self.happened = True
                sys.settrace(None)
                self.handler(self)
            self.lines_left -= 1
        return self._trace

    def half_open(self) -> None:
        self.breaker.open()
        self.clock.advance(1.0)
        self.permits = [self.breaker.acquire()]


def _tripping(story: Interrupted) -> Callable[[], object]:
    story.permits = [story.breaker.acquire()]
    story.breaker.acquire().failure()
    return lambda: story.breaker.call(boom)


def _probing(story: Interrupted) -> Callable[[], object]:
    story.half_open()
    return story.breaker.acquire


def _settling(story: Interrupted) -> Callable[[], object]:
    story.half_open()
    return story.breaker.acquire().success


def _opening(story: Interrupted) -> Callable[[], object]:
    story.permits = [story.breaker.acquire()]
    return story.breaker.open


def _looking(story: Interrupted) -> Callable[[], object]:
    story.half_open()
    return story.breaker.snapshot


OPERATIONS: dict[str, Callable[[Interrupted], object]] = {
    "trip": _tripping, "probe": _probing, "settle": _settling, "open": _opening, "look": _looking,
}  # fmt: skip
HANDLERS: dict[str, Callable[[Interrupted], object]] = {
    "a failure": lambda story: [permit.failure() for permit in story.permits],
    "a success": lambda story: [permit.success() for permit in story.permits],
    "a release": lambda story: [permit.release() for permit in story.permits],
    "a call": lambda story: admitted(story.breaker),
    "close": lambda story: story.breaker.close(),
    "open": lambda story: story.breaker.open(),
}
