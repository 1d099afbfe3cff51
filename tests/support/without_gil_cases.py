"""What can happen between the steps of a quiet call where other threads come in anywhere.

Run by ``tests/e2e/test_without_gil.py``, in a process in which resilix believes that there is no GIL.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.breaker import FakeClock, a_breaker

from resilix import Bulkhead, BulkheadFullError, CircuitBreaker, CircuitState, calls
from resilix.attention import GIL
from resilix.core.counting import Ticking
from resilix.core.era import Era
from resilix.core.permits import Hold
from resilix.core.tokens import Token, TokenQueue
from resilix.core.verdict import Verdict
from resilix.policies.bulkhead_quiet import QUIET

assert not GIL, "run this with -p tests.support.no_gil, or on an interpreter without a GIL"


class Success:
    """A quiet call that went well, step by step; ``None`` as its counter while successes are reported."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.era: Era = breaker._core.era
        self.counter: Any = self.era.counter
        self.number: int | None = None

    def count(self) -> None:
        """The step of the atomic count."""
        if self.counter is None:
            self.breaker._succeeded(self.era)
        else:
            self.number = self.counter.tick()

    def look(self) -> None:
        """The look whether the counter is still the one in use."""
        if self.number is not None and self.era.counter is not self.counter:
            self.breaker._overtaken(self.era, self.counter, self.number)


def failed(breaker: CircuitBreaker) -> None:
    """One failure."""
    breaker._core.report(breaker._core.era, Verdict.FAILURE, 0.0)
    breaker._announcer.flush()


def a_rate(min_calls: int = 3, **options: Any) -> CircuitBreaker:
    """A breaker that opens when half of its calls fail."""
    return a_breaker(window=calls(100), consecutive=None, failure_rate=0.5, min_calls=min_calls, **options)


def test_a_success_that_makes_the_rate_count_is_judged_whoever_came_in_between() -> None:
    """It had looked before the failure said that successes matter now, and counts after."""
    breaker = a_rate(min_calls=2)
    success = Success(breaker)
    failed(breaker)
    assert breaker.state is CircuitState.CLOSED
    success.count()
    success.look()
    assert breaker.state is CircuitState.OPEN, "1 of 2 calls has failed"


def test_a_success_counted_before_successes_matter_is_in_the_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the judge has counted, and before it says that successes matter."""
    breaker = a_rate(min_calls=2)
    success = Success(breaker)
    window: Any = breaker._core.era.window
    counts, late = type(window).counts, [success]

    def overtaken_counts(self: Any, now: float) -> Any:
        found = counts(self, now)
        if late:
            one = late.pop()
            one.count()
            one.look()
        return found

    monkeypatch.setattr(type(window), "counts", overtaken_counts)
    failed(breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_success_after_the_era_is_late_and_counted_once() -> None:
    """The window is closed by then: what it had counted is in the totals."""
    breaker = a_rate()
    before, after = Success(breaker), Success(breaker)
    before.count()
    breaker.close()
    before.look()
    after.count()
    after.look()
    assert (breaker.totals().success, breaker.totals().late) == (1, 1)


def test_a_success_on_its_way_when_the_window_is_exchanged_counts_in_the_new_one() -> None:
    """The old one has been read for the last time."""
    breaker = a_rate()
    success = Success(breaker)
    breaker.reconfigure(window=30.0)
    success.count()
    success.look()
    assert (breaker.totals().success, breaker.snapshot().calls) == (1, 1)


STEPS = st.lists(
    st.one_of(
        st.sampled_from(("begin", "fail", "close", "open", "resize", "window")),
        st.tuples(st.sampled_from(("count", "look")), st.integers(0, 5)),
    ),
    max_size=60,
)


@given(STEPS)
def test_in_any_order_of_steps_every_call_is_counted_once_and_no_judgement_is_missed(steps: list[Any]) -> None:
    """Among them transitions and other windows; the rate is judged when all have looked."""
    clock = FakeClock()
    breaker = a_rate(min_calls=4, clock=clock)
    going: list[Success] = []
    counted: list[Success] = []
    made = 0
    for step in steps:
        if step == "begin":
            if breaker._core.quiet is not None:
                going.append(Success(breaker))
        elif step == "fail":
            if breaker.state is CircuitState.CLOSED:
                failed(breaker)
                made += 1
        elif step == "close":
            breaker.close()
        elif step == "open":
            breaker.open()
        elif step == "resize":
            breaker.reconfigure(window=calls(200 if made % 2 else 100))
        elif step == "window":
            breaker.reconfigure(window=30.0 if made % 2 else calls(100))
        else:
            kind, at = step
            if kind == "count" and going:
                one = going.pop(at % len(going))
                one.count()
                counted.append(one)
                made += 1
            elif kind == "look" and counted:
                counted.pop(at % len(counted)).look()
    for one in going:
        one.count()
        made += 1
    for one in [*counted, *going]:
        one.look()
    totals = breaker.totals()
    assert sum(totals) == made
    now = breaker.snapshot()
    if breaker.state is CircuitState.CLOSED and breaker._core.era.counter is not None:
        assert now.failure_rate is None or now.failure_rate < 0.5, "it should have opened"


# -- places ---------------------------------------------------------------------------------------------------------


def _with_steps(text: str) -> str:
    """The quiet lines as a generator that stops wherever another thread may come in."""
    lines = ["def quiet_caller(queue, lend, had):"]
    for line in text.strip().splitlines():
        bare = line.lstrip()
        margin = "    " + line[: len(line) - len(bare)]
        if bare == "result = INNER":
            lines += [margin + one for one in ("had.enter()", "yield", "had.leave()")]
        elif bare == "result = PLAIN":
            lines.append(margin + "return")
        elif bare == "if refuses():":
            lines.append(margin + "if False:")
        elif bare.startswith(("else", "except", "finally")):
            lines.append(margin + bare)
        else:
            lines += [margin + "yield", margin + bare]
    return "\n".join(lines)


class Room:
    """Counts who is in."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0
        self.entered = 0

    def enter(self) -> None:
        """One more."""
        self.inside += 1
        self.entered += 1
        assert self.inside <= self.limit, "more calls than places"

    def leave(self) -> None:
        """One less."""
        self.inside -= 1


LINES: dict[str, Any] = {}
exec(_with_steps(QUIET), LINES)


def patient_caller(queue: TokenQueue, had: Room) -> Iterator[None]:
    """One that takes its place under the lock, and waits for it if need be."""
    hold: Hold = Token(queue)
    if not queue.take(hold):
        yield
        assert queue.enqueue(hold, lambda: None)
        while not hold.needed:
            yield
    had.enter()
    yield
    had.leave()
    hold.drop()


def attention(queue: TokenQueue) -> Iterator[None]:
    """Somebody begins to listen, and stops."""
    queue.attend()
    yield
    queue.attend()


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("who", ["qp", "pq", "qqp", "qpq", "qpp", "qpa", "qaq", "aqp"])
def test_in_any_order_of_steps_no_place_is_lost_and_nobody_waits_for_ever(limit: int, who: str) -> None:
    """All orders with three switches, then each in its turn: everybody was served, and every place is free."""
    for bursts in itertools.product(range(12), repeat=3):
        queue, had = TokenQueue(limit, None), Room(limit)
        kinds: dict[str, Callable[[], Iterator[None]]] = {
            "q": lambda queue=queue, had=had: LINES["quiet_caller"](queue, queue.lend, had),
            "p": lambda queue=queue, had=had: patient_caller(queue, had),
            "a": lambda queue=queue: attention(queue),
        }
        actors = [kinds[one]() for one in who]
        for burst in (*bursts, *([1] * 50)):
            if actors:
                one = actors.pop(0)
                if all(next(one, StopIteration) is not StopIteration for _ in range(burst)):
                    actors.append(one)
        assert not actors, f"{queue.waiting} wait although nobody has a place, after {bursts}"
        assert (queue.idle, queue.waiting, had.inside) == (limit, 0, 0), bursts


@pytest.mark.parametrize("steps", range(12))
def test_nobody_pushes_in_while_somebody_waits(steps: int) -> None:
    """Whoever has lined up gets the place that comes back, wherever its giver is when another quiet call comes."""
    queue, had = TokenQueue(1, None), Room(1)
    giver = LINES["quiet_caller"](queue, queue.lend, had)
    while not had.inside:
        next(giver)
    waiting = patient_caller(queue, had)
    next(waiting)
    next(waiting)
    assert queue.waiting == 1
    for _ in range(steps):
        next(giver, None)
    came = had.entered
    for _ in LINES["quiet_caller"](queue, queue.lend, had):
        assert had.entered == came, "it got the place of the one who waits"
    while next(giver, StopIteration) is not StopIteration:
        continue
    next(waiting)
    assert had.entered == came + 1


def test_a_place_at_hand_is_free_for_everybody() -> None:
    """Who takes one by hand is not refused because the last quiet call has left it there."""
    slots = Bulkhead("at-hand", limit=1)
    slots(len)("four")
    assert slots.free == 1
    with slots.acquire():
        assert slots.free == 0
        with pytest.raises(BulkheadFullError):
            slots(len)("four")
    assert (slots.free, slots.in_use) == (1, 0)


def test_a_place_lost_on_its_way_comes_back() -> None:
    """An interrupt between taking it and the ``try:`` behind that."""
    queue = TokenQueue(1, None)
    token = queue.lend()
    assert token is not None
    assert queue.idle == 0
    del token
    assert queue.idle == 1


# -- with real threads ----------------------------------------------------------------------------------------------


def together(work: Callable[[int], None], threads: int = 4) -> None:
    """Do it in several threads at once."""
    errors: list[BaseException] = []
    ready = threading.Barrier(threads)

    def run(number: int) -> None:
        try:
            ready.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    assert not errors, errors


@pytest.mark.parametrize("window", [30.0, calls(50)], ids=["seconds", "calls"])
def test_threads_lose_no_count(window: Any) -> None:
    """Successes and failures of four threads, and transitions in between, add up."""
    breaker = a_breaker(window=window, consecutive=10**6, failure_rate=None)

    @breaker
    def work(number: int) -> int:
        if number % 97 == 0:
            raise OSError
        return number

    def many(number: int) -> None:
        for one in range(3_000):
            with suppress(OSError):
                work(one)
            if one % 701 == 0:
                breaker.close()

    together(many)
    assert sum(breaker.totals()) == 12_000


@pytest.mark.parametrize("max_wait", [0, 5.0], ids=["refusing", "waiting"])
def test_threads_never_have_more_places_than_there_are(max_wait: float) -> None:
    """Quiet calls, places taken by hand, and a listener coming and going; afterwards all are free."""
    slots = Bulkhead(f"threads-{max_wait}", limit=2, max_wait=max_wait)
    lock, inside, most, refused, served = threading.Lock(), [0], [0], [0], [0]

    @slots
    def work() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            served[0] += 1
        with lock:
            inside[0] -= 1

    def many(number: int) -> None:
        for one in range(1_000):
            try:
                if one % 50 == number:
                    with slots.acquire():
                        served[0] += 0
                else:
                    work()
            except BulkheadFullError:
                with lock:
                    refused[0] += 1
            if one % 300 == 0:
                slots._attend()

    together(many)
    assert most[0] <= 2
    assert (slots.free, slots.waiting) == (2, 0)
    assert slots.rejected == refused[0]


def test_ticks_of_all_threads_are_seen_once() -> None:
    """However often somebody looks meanwhile."""
    counter, seen = Ticking(), []

    def many(number: int) -> None:
        for one in range(2_000):
            counter.tick()
            if number == 0 and one % 10 == 0:
                seen.append(counter.n)

    together(many)
    assert counter.n == 8_000
    assert seen == sorted(seen)
