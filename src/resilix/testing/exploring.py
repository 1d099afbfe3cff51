"""``explore``: one scenario of tasks in thousands of orders, each of which can be had again."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

from resilix.core import options
from resilix.testing.simulation.charge import in_charge
from resilix.testing.simulation.driver import SimulatedDriver
from resilix.testing.simulation.loop import Handle, SimulatedLoop
from resilix.testing.stuck import DeadlockError, report

T = TypeVar("T")
Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, object]] | Callable[["Schedule"], Coroutine[Any, Any, object]]
"""What is explored."""

OWNER = "explore"
MOST_STEPS = 100_000
"""Steps of one schedule after which it counts as endless."""
SHOWN = 12
"""So many of the last steps before a failure are shown."""
STUBBORN = 0.85
"""How often an order that has a favourite keeps to it."""


class Schedule:
    """What a scenario may want of the schedule it runs in.

    Example::

        async def scenario(schedule: Schedule) -> None:
            slots = Bulkhead("quotes", limit=2, max_wait=None)
            schedule.always(lambda: slots.in_use <= 2)
            ...

    Attributes:
        seed: Which schedule it is.
        chance: A random generator of this schedule's own, for durations and decisions of the scenario.
    """

    def __init__(self, loop: _Loop, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"{seed} scenario")
        self._loop = loop

    def now(self) -> float:
        """Virtual seconds since the schedule began."""
        return self._loop.now

    def always(self, check: Callable[[], object]) -> None:
        """Have something checked after every step from now on, to the end of the schedule.

        A step is what happens between two moments at which a task gives way to others.

        Example::

            schedule.always(lambda: slots.in_use <= 2)

        Args:
            check: Answers False, or raises, when it does not hold.
        """
        self._loop.checks.append(check)


@dataclass(frozen=True, slots=True)
class Explored:
    """What :func:`explore` has gone through; nothing of it failed.

    Attributes:
        schedules: How many schedules.
        orders: How many different ones among them. Far fewer than schedules: there are hardly more to find.
        steps: Steps, all schedules together.
    """

    schedules: int
    orders: int
    steps: int


def explore(scenario: Scenario, *, schedules: int = 1000, seed: int = 0, only: int | None = None) -> Explored:
    """Run an async scenario in many orders of its steps, in virtual time, and let none of them fail.

    Wherever several tasks could go on, or several timers are due, one of them is chosen at random. So a scenario meets
    cancellations that come just when a place is handed over, timeouts that expire just when the answer arrives, and
    callers that overtake one another. Every schedule has a number, and the same number gives the same schedule.

    Example::

        async def scenario(schedule: Schedule) -> None:
            slots = Bulkhead("quotes", limit=2, max_wait=1.0)
            schedule.always(lambda: slots.in_use <= 2)

            async def call() -> None:
                with suppress(RejectedError):
                    await slots.acall(asyncio.sleep, 1.0)

            await asyncio.gather(*(call() for _ in range(5)))
            assert slots.in_use == 0

        explore(scenario)

    What fails is raised as it is, with a note that says which schedule it was: ``explore(scenario, only=417)`` runs
    that one alone. Also a failure: a task whose error nobody fetched; and when everybody waits and nothing is due, a
    ``DeadlockError`` says who waits where. When the scenario ends, tasks it has left are cancelled, as by
    ``asyncio.run``.

    The scenario may use all of asyncio that needs no thread and nothing from outside, and anyio on top of it; trio has
    no place here. Waits of policies, ``asyncio.sleep`` and timers take virtual time, which is nothing. Time moves only
    when no task can go on. Schedule 0 is asyncio's own order, first come, first served. The others are more than
    asyncio does today: code that relies on the order of ``call_soon`` fails here. Chance of your own belongs to
    ``schedule.chance``. While it runs, the clock of all policies of this process is the virtual one,
    and the garbage collector rests while a schedule runs.

    Args:
        scenario: An async function that takes nothing, or the :class:`Schedule` it runs in. It makes the policies it
            uses: each schedule begins anew.
        schedules: How many.
        seed: The number of the first; the others follow it.
        only: Run the schedule of this number and no other.

    Returns:
        What was gone through.

    Raises:
        ConfigurationError: An option cannot mean anything sensible; or virtual time, or another exploration,
            is running.
        DeadlockError: In some schedule everybody waits.

    The idea of random schedules with a seed is that of deterministic simulation testing (FoundationDB), and of
    Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010.
    """
    options.whole(OWNER, "schedules", schedules, least=1, why="nothing would be run")
    for option, value in (("seed", seed), ("only", 0 if only is None else only)):
        options.whole(OWNER, option, value, least=0, why="schedules are counted from 0")
    takes = _takes_schedule(scenario)
    orders: set[int] = set()
    steps = 0
    numbers = range(seed, seed + schedules) if only is None else (only,)
    for number in numbers:
        loop = _Loop(_Order(number))
        schedule = Schedule(loop, number)
        with in_charge(OWNER, loop, number, _Driver(loop)), _without_collector():
            try:
                # Which of the two kinds it is was found out by looking at it.
                loop.play(partial(scenario, schedule) if takes else scenario)  # type: ignore[call-arg,arg-type]
            except BaseException as error:
                with suppress(Exception):  # one that takes no note (a frozen dataclass, say) is raised all the same
                    error.add_note(_note(scenario, number, loop))
                loop.give_up()
                raise
        orders.add(loop.order.taken)
        steps += loop.steps
    return Explored(len(numbers), len(orders), steps)


@contextmanager
def _without_collector() -> Generator[None]:
    """What is collected runs code, and when it is collected hangs on all that the process has done before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _takes_schedule(scenario: Any) -> bool:
    """Whether a scenario takes the schedule."""
    called = getattr(scenario, "func", scenario)
    if callable(scenario) and (
        inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)
    ):
        taken = inspect.signature(scenario).parameters.values()
        loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [one for one in taken if one.default is one.empty and one.kind not in loose]
        if len(needed) <= 1:
            return len(needed) == 1
    raise options.refuse(
        OWNER,
        "scenario",
        scenario,
        "it is an async function of nothing, or of the schedule it runs in",
        "write async def scenario(schedule): … and explore(scenario)",
    )


def _note(scenario: Any, number: int, loop: _Loop) -> str:
    name = getattr(scenario, "__name__", "scenario")
    last = ", ".join(_named(one) for one in loop.last)
    return (
        f"explore: in schedule {number}, after {loop.steps} steps, at {loop.now:g} virtual seconds; "
        f"explore({name}, only={number}) runs it again\nthe last steps: {last}"
    )


def _named(handle: Handle) -> str:
    owner = getattr(handle.callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(handle.callback, "__qualname__", None) or type(handle.callback).__name__


class _Order:
    """The choices of one schedule.

    Attributes:
        taken: All of them, as one number.
    """

    def __init__(self, number: int) -> None:
        self.taken = 0
        self._chance = random.Random(f"{number} order")
        # Some bugs need one step to be late, some need a task to be late all the time: orders that mostly keep to
        # the first, or to the last, come upon those that the even-handed ones hardly ever do.
        self._favourite = None if number % 3 == 1 else 0 if number % 3 == 0 else -1
        self._stubborn = 1.0 if number == 0 else STUBBORN

    def randrange(self, stop: int, /) -> int:
        """One of so many."""
        if self._favourite is not None and self._chance.random() < self._stubborn:
            place = self._favourite % stop
        else:
            place = self._chance.randrange(stop)
        self.taken = hash((self.taken, place, stop))
        return place


class _Task(asyncio.Task[T]):
    """A task that goes into sets in the same order every time: a set of tasks is gone through in schedules too."""

    def __init__(self, coro: Coroutine[Any, Any, T], number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class _Driver(SimulatedDriver):
    """Waits as in a simulation; but a timeout takes the way it takes in real loops, whose own clock it follows."""

    virtual = False


class _Loop(SimulatedLoop):
    """Runs one schedule.

    Attributes:
        order: What chooses.
        checks: What has to hold after every step.
        steps: How many there were.
        last: The last of them.
    """

    def __init__(self, order: _Order) -> None:
        super().__init__(order)
        self.order = order
        self.checks: list[Callable[[], object]] = []
        self.steps = 0
        self.last: deque[Handle] = deque(maxlen=SHOWN)
        self._tasks: list[asyncio.Task[Any]] = []

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        """Start a task."""
        number = len(self._tasks)
        if options.get("name") is None:
            options["name"] = f"{getattr(coro, '__name__', 'task')}-{number}"
        # asyncio.create_task() of 3.11 names it after us, and only if it was given a name.
        task = _Task(coro, number, loop=self, **options)
        self._tasks.append(task)
        return task

    def play(self, scenario: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a scenario to its end, and what it has left behind to theirs.

        Raises:
            BaseException: What failed.
            DeadlockError: Everybody waits, or it does not end.
        """
        main = self.create_task(scenario())
        self.run_while(lambda: not main.done() and self._in_bounds())
        if not main.done():
            raise self._stuck("everybody waits, nothing is ready, and nothing is due")
        main.result()
        self._cancel_the_rest()
        if not all(one.done() for one in self._tasks):
            raise self._stuck("the scenario has ended, and tasks it has left do not, although they were cancelled")
        self._look_for_errors()

    def give_up(self) -> None:
        """Something failed: let everybody go who can."""
        self.checks.clear()
        with suppress(BaseException):
            self._cancel_the_rest()

    def _do(self, chosen: Handle) -> None:
        if chosen.cancelled():
            return
        self.steps += 1
        self.last.append(chosen)
        chosen.run()
        for check in self.checks:
            if check() is False:
                name = getattr(check, "__qualname__", repr(check))
                raise AssertionError(f"what should always hold does not hold: {name}")

    def _in_bounds(self) -> bool:
        return self.steps < MOST_STEPS

    def _cancel_the_rest(self) -> None:
        for task in self._tasks:
            # One that is done would forget that nobody fetched its error, and what is being closed is on its way out.
            if not task.done() and task not in self._closings:
                task.cancel()
        bound = self.steps + MOST_STEPS
        self.run_while(lambda: self.steps < bound and not all(one.done() for one in self._tasks))

    def _stuck(self, what: str) -> DeadlockError:
        if not self._in_bounds():
            what = f"there is no end to it after {self.steps:,} steps"
        return DeadlockError(f"explore(): {what}:\n{report(self._tasks)}")

    def _look_for_errors(self) -> None:
        """Raise an error that nobody has heard of."""
        for task in self._tasks:
            if not task.cancelled() and getattr(task, "_log_traceback", False):
                error = task.exception()
                assert error is not None, "there is something to log"
                error.add_note(f"explore: the error of task {task.get_name()!r}, which nobody fetched")
                raise error
        for context in self.errors:
            error = context.get("exception")
            raise AssertionError(f"explore(): {context.get('message')}") from error
