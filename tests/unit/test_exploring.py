"""``explore``: thousands of orders of one scenario, each to be had again, and nothing that goes wrong unseen."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import random
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
import pytest

import resilix
from resilix import Bulkhead, ConfigurationError, RejectedError, TimeoutExceededError, deadline, retry, timeout
from resilix.clock import SYSTEM
from resilix.runtime import RUNTIME
from resilix.testing import DeadlockError, Explored, Schedule, explore, virtual_time


def orders_of(scenario: Callable[[list[str]], Coroutine[Any, Any, object]], schedules: int = 200) -> set[str]:
    """What a scenario writes down, in all the orders that are found."""
    seen: set[str] = set()

    async def observed() -> None:
        log: list[str] = []
        await scenario(log)
        seen.add("".join(log))

    explore(observed, schedules=schedules)
    return seen


async def three_at_once(log: list[str]) -> None:
    """Three tasks that each do one thing."""

    async def one(name: str) -> None:
        log.append(name)

    await asyncio.gather(*(one(name) for name in "abc"))


def test_all_orders_of_three_tasks_are_found() -> None:
    """There are six, and asyncio alone would show one of them."""
    assert orders_of(three_at_once) == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_schedule_0_is_the_order_of_asyncio() -> None:
    """A scenario that fails there fails without any exploring."""
    assert orders_of(three_at_once, schedules=1) == {"abc"}


def test_timers_that_are_due_at_one_moment_come_in_any_order() -> None:
    """A timeout and an answer at the same moment: either may be first."""

    async def scenario(log: list[str]) -> None:
        try:
            await timeout(1.0).acall(asyncio.sleep, 1.0)
        except TimeoutExceededError:
            log.append("too late")
        else:
            log.append("in time")

    assert orders_of(scenario) == {"too late", "in time"}


def test_one_that_is_due_now_may_come_before_those_that_are_ready() -> None:
    """``call_later(0)`` need not wait until nobody else can go on."""

    async def scenario(log: list[str]) -> None:
        asyncio.get_running_loop().call_later(0, log.append, "t")
        for name in "abc":
            log.append(name)
            await asyncio.sleep(0)
        await asyncio.sleep(1)

    assert {"atbc", "abtc", "abct"} <= orders_of(scenario)


def test_a_failure_is_raised_as_it_is_and_names_the_schedule_that_has_it_again() -> None:
    """The note has all that is needed to replay it; other schedules pass."""

    class OursError(Exception):
        pass

    error = OursError("b was first")

    async def scenario() -> None:
        log: list[str] = []
        await three_at_once(log)
        if log[0] == "b":
            raise error

    with pytest.raises(OursError) as caught:
        explore(scenario)
    assert caught.value is error
    note = caught.value.__notes__[-1]
    number = int(note.split("in schedule ", 1)[1].split(",", 1)[0])
    assert f"explore(scenario, only={number}) runs it again" in note
    assert "the last steps: " in note
    assert "one-2" in note
    with pytest.raises(OursError):
        explore(scenario, only=number)
    assert explore(scenario, schedules=number) == Explored(number, *(_found(scenario, number)))


def _found(scenario: Any, number: int) -> tuple[int, int]:
    again = explore(scenario, schedules=number)
    return again.orders, again.steps


def test_a_schedule_is_the_same_in_another_process(tmp_path: Any) -> None:
    """Neither addresses nor the seed of hashes come into it, though sets of tasks are gone through."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, os\n"
        "from resilix.testing import explore\n"
        "ballast = [object() for _ in range(int(os.environ['PYTHONHASHSEED']) * 1000)]\n"
        "log = []\n"
        "async def scenario(schedule):\n"
        "    async def one(name):\n"
        "        try:\n"
        "            await asyncio.sleep(schedule.chance.random())\n"
        "        except asyncio.CancelledError:\n"
        "            log.append(name)\n"
        "            raise\n"
        "        log.append(name.upper())\n"
        "        if name == 'c':\n"
        "            raise ValueError\n"
        "    try:\n"
        "        async with asyncio.TaskGroup() as group:\n"
        "            for name in 'abcdefgh':\n"
        "                group.create_task(one(name))\n"
        "    except* ValueError:\n"
        "        log.append(' ')\n"
        "explore(scenario, schedules=30)\n"
        "print(''.join(log))\n"
    )
    said = [
        subprocess.run(
            [sys.executable, str(program)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(next(iter(resilix.__path__)) + "/..")},
        ).stdout
        for seed in ("1", "7")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 200


def test_time_is_virtual_and_every_schedule_begins_at_zero() -> None:
    """An hour of waits between attempts and of sleeps costs nothing; the clock of policies is the loop's."""
    ends: set[float] = set()

    async def scenario(schedule: Schedule) -> None:
        assert schedule.now() == 0.0
        answers = [ConnectionError(), 4217]

        @retry(on=ConnectionError, wait=1800.0)
        async def price() -> object:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with deadline(4000.0):
            assert await price() == 4217
            await asyncio.sleep(1800.0)
            assert deadline.remaining() == 400.0
        ends.add(schedule.now())

    before, driver = SYSTEM.now, RUNTIME.driver
    explore(scenario, schedules=50)
    assert ends == {3600.0}
    assert SYSTEM.now is before
    assert RUNTIME.driver is driver


def test_what_always_holds_is_looked_at_after_every_step() -> None:
    """A breach that lasts for one step is seen, whether it is answered or raised."""

    async def scenario(schedule: Schedule, check: Callable[[list[int]], object]) -> None:
        taken: list[int] = []
        schedule.always(lambda: check(taken))

        async def one() -> None:
            taken.append(1)
            await asyncio.sleep(0)
            taken.pop()

        await asyncio.gather(one(), one())

    def raises(taken: list[int]) -> None:
        if len(taken) > 1:
            raise ZeroDivisionError

    async def answered(schedule: Schedule) -> None:
        await scenario(schedule, lambda taken: len(taken) < 2)

    async def raised(schedule: Schedule) -> None:
        await scenario(schedule, raises)

    async def held(schedule: Schedule) -> None:
        await scenario(schedule, lambda taken: len(taken) < 3)

    with pytest.raises(AssertionError, match=r"should always hold does not hold: .*<lambda>"):
        explore(answered)
    with pytest.raises(ZeroDivisionError):
        explore(raised)
    assert explore(held, schedules=50).schedules == 50


def test_chance_belongs_to_the_schedule() -> None:
    """It is the same for the same schedule, and so is the jitter of ``random``, which is given back afterwards."""
    drawn: list[tuple[int, float, float]] = []

    async def scenario(schedule: Schedule) -> None:
        drawn.append((schedule.seed, schedule.chance.random(), random.random()))

    state = random.getstate()
    explore(scenario, schedules=5, seed=3)
    assert random.getstate() == state
    explore(scenario, only=4)
    assert [one[0] for one in drawn] == [3, 4, 5, 6, 7, 4]
    assert drawn[1] == drawn[5]
    assert len(set(drawn)) == 5


# -- what must not go unseen -----------------------------------------------------------------------------------


def test_a_deadlock_says_who_waits_where() -> None:
    """Two tasks that take two bulkheads in opposite order: each is named, with its line and the policy it waits in."""

    async def scenario() -> None:
        quotes, orders = (Bulkhead(name, limit=1, max_wait=None) for name in ("quotes", "orders"))

        async def both(first: Bulkhead, second: Bulkhead) -> None:
            with await first.aacquire():
                await asyncio.sleep(0)
                with await second.aacquire():
                    pass

        one = asyncio.create_task(both(quotes, orders), name="clerk")
        await both(orders, quotes)
        await one

    with pytest.raises(DeadlockError) as caught:
        explore(scenario)
    told = str(caught.value)
    assert re.search(r'task "clerk" waits for a place in bulkhead "\w+", \S*test_exploring\.py:\d+ in \S+both: ', told)
    assert "both: with await second.aacquire():" in told
    assert 'task "scenario-0" waits for a place in bulkhead' in told


def test_a_task_that_waits_for_another_says_for_which() -> None:
    """The chain can be followed to whoever it is that will never end."""

    async def scenario() -> None:
        never = asyncio.create_task(asyncio.Event().wait(), name="never")
        await never

    with pytest.raises(DeadlockError, match=r'waits for task "never", .*scenario: await never'):
        explore(scenario)


def test_an_error_that_nobody_fetched_is_raised() -> None:
    """An assertion in a task that is left to itself counts."""

    async def scenario() -> None:
        async def fails() -> None:
            raise ZeroDivisionError

        asyncio.create_task(fails())  # noqa: RUF006 - the mistake
        await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError) as caught:
        explore(scenario)
    assert any("of task 'fails-1', which nobody fetched" in note for note in caught.value.__notes__)


def test_an_error_in_a_callback_is_raised() -> None:
    """One that asyncio would only log."""

    async def scenario() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        explore(scenario)


def test_what_is_left_behind_is_cancelled_as_asyncio_run_does() -> None:
    """Its cleanup code runs, in virtual time."""
    log: list[str] = []

    async def scenario() -> None:
        async def stays() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(5)
                log.append("cleaned")

        asyncio.create_task(stays())  # noqa: RUF006 - on purpose
        await asyncio.sleep(0)
        await asyncio.sleep(1)

    explore(scenario, schedules=10)
    assert log == ["cleaned"] * 10


def test_one_that_does_not_end_though_cancelled_is_named() -> None:
    """A task that swallows its cancellation and waits again would hang ``asyncio.run``."""

    async def scenario() -> None:
        async def stubborn() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()

        asyncio.create_task(stubborn())  # noqa: RUF006 - on purpose
        await asyncio.sleep(1)

    with pytest.raises(DeadlockError, match=r"although they were cancelled:\n.*stubborn-1"):
        explore(scenario)


def test_a_scenario_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would otherwise turn for ever, in no time."""
    monkeypatch.setattr("resilix.testing.exploring.MOST_STEPS", 1000)

    async def scenario() -> None:
        while True:  # noqa: ASYNC110 - on purpose
            await asyncio.sleep(0.001)

    with pytest.raises(DeadlockError, match=r"no end to it after 1,000 steps"):
        explore(scenario)


def test_after_a_failure_everybody_is_let_go() -> None:
    """Cleanup code of those who still waited has run, and the real clock is back."""
    log: list[str] = []

    async def scenario() -> None:
        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                log.append("let go")

        task = asyncio.create_task(waits())
        await asyncio.sleep(1)
        assert task is None

    with pytest.raises(AssertionError):
        explore(scenario)
    assert log == ["let go"]
    assert not RUNTIME.driver.virtual


# -- what works in it ------------------------------------------------------------------------------------------


async def _asyncio_primitives() -> None:
    """Locks, events, conditions, semaphores, queues, groups, timeouts, ``wait_for``, ``shield``, ``as_completed``."""
    lock, event, queue, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.Queue[int](1), asyncio.Semaphore(2)
    condition, seen = asyncio.Condition(), list[int]()

    async def produce() -> None:
        for number in range(4):
            async with lock, semaphore:
                await queue.put(number)
        event.set()
        async with condition:
            condition.notify_all()

    async def consume() -> None:
        while len(seen) < 4:
            seen.append(await queue.get())
            queue.task_done()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(consume())
        await event.wait()
    await queue.join()
    assert seen == [0, 1, 2, 3]
    with suppress(TimeoutError):
        async with asyncio.timeout(1), condition:
            await condition.wait()
            raise AssertionError("nobody notified")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.sleep(3)), 1)
    assert await asyncio.wait_for(asyncio.sleep(1, "answer"), 2) == "answer"
    found = [await one for one in asyncio.as_completed([asyncio.sleep(2, "b"), asyncio.sleep(1, "a")])]
    assert found == ["a", "b"]
    done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(n)) for n in (5, 6)], timeout=5.5)
    assert (len(done), len(pending)) == (1, 1)
    assert asyncio.get_running_loop().call_later(1, print).when() == asyncio.get_running_loop().time() + 1


async def _generators() -> None:
    """An async generator that is not used up is closed, its cleanup code included."""
    closed = asyncio.Event()

    async def numbers() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(1)
            closed.set()

    async for _ in numbers():
        break
    await closed.wait()


async def _generator_at_the_end() -> None:
    """One that is left at the very end is closed too."""

    async def numbers() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(1)

    async for _ in numbers():
        break


async def _anyio_primitives() -> None:
    """The groups, scopes, events, limiters and streams of anyio, which are made for any loop of asyncio's."""
    send, receive = anyio.create_memory_object_stream[int](1)
    limiter, event = anyio.CapacityLimiter(1), anyio.Event()

    async def produce() -> None:
        async with send, limiter:
            for number in range(3):
                await send.send(number)
            await anyio.sleep(1)
        event.set()

    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce)
        assert [number async for number in receive] == [0, 1, 2]
    assert event.is_set()
    with anyio.move_on_after(1) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError):
        with anyio.fail_after(1):
            await anyio.Event().wait()
    with anyio.CancelScope() as inner:
        inner.cancel()
        await anyio.sleep(1)
    assert inner.cancelled_caught


@pytest.mark.parametrize("scenario", [_asyncio_primitives, _generators, _generator_at_the_end, _anyio_primitives])
def test_what_needs_no_thread_and_nothing_real_works(scenario: Any) -> None:
    """In a hundred orders."""
    assert explore(scenario, schedules=100).schedules == 100


IMPOSSIBLE: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
    "run_in_executor": lambda: asyncio.to_thread(print),
    "create_connection": lambda: asyncio.open_connection("127.0.0.1", 9),
    "getaddrinfo": lambda: asyncio.get_running_loop().getaddrinfo("localhost", 80),
    "subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_is_not_possible_says_so(name: str) -> None:
    """Threads, sockets and processes are real, and time in a simulated loop is not."""

    async def scenario() -> None:
        await IMPOSSIBLE[name]()

    with pytest.raises(NotImplementedError, match=rf"{name}\(\): this event loop is simulated"):
        explore(scenario)


def test_a_sync_wait_of_a_policy_says_so() -> None:
    """A thread cannot wait for a loop that runs in it."""

    async def waits() -> None:
        slots = Bulkhead("quotes", limit=1, max_wait=None)
        with slots.acquire():
            slots.acquire()

    with pytest.raises(ConfigurationError, match="a policy waited in sync code"):
        explore(waits)


# -- bad input -------------------------------------------------------------------------------------------------


async def _nothing() -> None:
    """A scenario."""


async def _two(a: object, b: object) -> None:
    """Takes too much."""


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (lambda: None, {}, "async function"),
        (_nothing(), {}, "async function"),
        (_two, {}, "async function"),
        (None, {}, "async function"),
        (_nothing, {"schedules": 0}, "nothing would be run"),
        (_nothing, {"seed": -1}, "counted from 0"),
        (_nothing, {"only": True}, "whole number"),
    ],
)
def test_nonsense_is_refused(given: Any, options: dict[str, Any], told: str) -> None:
    """With what is wrong, and what to write instead."""
    with pytest.raises(ConfigurationError, match=told):
        explore(given, **options)
    if hasattr(given, "close"):
        given.close()


def test_a_scenario_may_be_a_partial_or_a_method_or_an_object() -> None:
    """Whatever gives a coroutine; options with defaults are left alone."""
    seen: list[str] = []

    class Scenarios:
        async def method(self, schedule: Schedule, *, many: int = 1) -> None:
            seen.append(f"method {many}")

        async def __call__(self) -> None:
            seen.append("object")

    async def plain(many: int) -> None:
        seen.append(f"partial {many}")

    for one in (Scenarios().method, Scenarios(), functools.partial(plain, 3)):
        explore(one, schedules=1)
    assert seen == ["method 1", "object", "partial 3"]


def test_the_collector_of_garbage_takes_no_part_in_a_schedule() -> None:
    """When it would run hangs on what the process has done before, and what it collects may run code."""
    enabled: list[bool] = []

    async def scenario() -> None:
        enabled.append(gc.isenabled())

    explore(scenario, schedules=2)
    assert enabled == [False, False]
    assert gc.isenabled()


def test_there_is_only_one_clock() -> None:
    """Inside virtual time, or another exploration, it would be somebody else's."""
    with virtual_time(), pytest.raises(ConfigurationError, match="there is only one clock"):
        explore(_nothing)

    async def nested() -> None:
        explore(_nothing)

    with pytest.raises(ConfigurationError, match="there is only one clock"):
        explore(nested)


def test_virtual_time_inside_a_scenario_is_refused_and_says_what_instead() -> None:
    """It would take the clock away from the schedule, whose waits cost nothing anyway."""

    async def scenario() -> None:
        with virtual_time():
            await asyncio.sleep(1.0)

    with pytest.raises(ConfigurationError, match=r"has virtual time of its own.*leave virtual_time\(\) out"):
        explore(scenario, only=0)
    with virtual_time() as time:  # and nothing of it stays
        assert time.now() == 0.0


@pytest.mark.asyncio
async def test_it_can_be_called_where_a_loop_runs() -> None:
    """An async test may explore; its own loop goes on afterwards."""

    async def scenario() -> None:
        with suppress(RejectedError):
            await Bulkhead("quotes", limit=1).acall(asyncio.sleep, 1.0)

    assert explore(scenario, schedules=5).schedules == 5
    assert await asyncio.sleep(0, "goes on") == "goes on"


def test_the_context_of_a_task_is_its_own_though_it_was_empty() -> None:
    """An empty context is false as a value; the deadline of whoever wakes a task must not become the task's."""
    seen: set[float] = set()

    async def scenario() -> None:
        event = asyncio.Event()

        async def waits() -> None:
            with deadline(10):
                await event.wait()
                seen.add(deadline.remaining())

        async def wakes() -> None:
            await asyncio.sleep(1)
            with deadline(5):
                event.set()

        await asyncio.gather(waits(), wakes())

    contextvars.Context().run(explore, scenario, schedules=20)
    assert seen == {9.0}
