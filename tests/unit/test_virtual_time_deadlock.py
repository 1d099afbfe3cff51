"""virtual_time() tells a deadlock: who waits where; and tells none where anything may still come."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
import socket
import subprocess
import threading
import time as real_time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from tests.support.virtual import LONG, anap, nap, run_threads

from resilix import Bulkhead, BulkheadFullError, ConfigurationError, retry
from resilix.attention import GIL
from resilix.core.permits import Hold, PermitQueue
from resilix.runtime import RUNTIME
from resilix.testing import DeadlockError, faults, virtual_time
from resilix.testing import threads as threads_seen

SOON = 0.05
"""Real seconds until a deadlock is reported here."""

LATER = 4 * SOON
"""Real seconds that something real takes where no deadlock may be reported."""

BACKENDS = ["asyncio", "trio"]
_NUMBERS = itertools.count(1)


@pytest.fixture(params=["it tells", "it does not"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the system tells what a thread is blocked in, as Linux does."""
    if request.param == "it does not":
        monkeypatch.setattr(threads_seen, "_CALLS", {})


def slots(name: str, **options: Any) -> Bulkhead:
    """A bulkhead with one place for which anybody waits as long as it takes."""
    return Bulkhead(f"{name} {next(_NUMBERS)}", **{"limit": 1, "max_wait": None, **options})


def errors_in(error: BaseException) -> list[BaseException]:
    """The single errors of what may be a group."""
    if isinstance(error, BaseExceptionGroup):
        return [one for part in error.exceptions for one in errors_in(part)]
    return [error]


def deadlocked(run: Callable[[], object], **options: Any) -> tuple[str, int]:
    """The message of the deadlock that this runs into, and how many were told."""
    with virtual_time(**{"deadlock_after": SOON, **options}), pytest.raises(BaseException) as caught:
        run()
    errors = errors_in(caught.value)
    assert {type(one) for one in errors} == {DeadlockError}, errors
    return str(errors[0]), len(errors)


async def in_opposite_order(first: Bulkhead, second: Bulkhead) -> None:
    """Two tasks, each with the place that the other wants."""
    ready = [anyio.Event(), anyio.Event()]

    async def one(number: int, mine: Bulkhead, other: Bulkhead) -> None:
        with await mine.aacquire():
            ready[number].set()
            await ready[1 - number].wait()
            with await other.aacquire():
                raise AssertionError("both places at once")

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0, first, second, name="left")
        group.start_soon(one, 1, second, first, name="right")


# -- who is told, and what -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("system")
def test_two_threads_that_wait_for_each_other_are_told() -> None:
    """Each holds a place and wants the other's: both raise, and the message says who waits for what, and where."""
    first, second = slots("first"), slots("second")
    met = threading.Barrier(2)
    told: list[str] = []

    def one(mine: Bulkhead, other: Bulkhead) -> None:
        with mine.acquire():
            met.wait(LONG)
            try:
                other.acquire()
            except DeadlockError as error:
                told.append(str(error))

    with virtual_time(deadlock_after=SOON):
        threads = [
            threading.Thread(target=one, args=(first, second), name="left", daemon=True),
            threading.Thread(target=one, args=(second, first), name="right", daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    assert len(told) == 2
    assert told[0] == told[1]
    for name, wanted in (("left", second), ("right", first)):
        line = f'thread "{name}" waits for a place in bulkhead "{wanted.name}", '
        assert re.search(
            line + r".*test_virtual_time_deadlock\.py:\d+ in test_two_threads.*one$", told[0], re.MULTILINE
        )
    assert re.search(r'thread "MainThread" waits for the end of Thread.join\(\), .*in test_two_threads', told[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_tasks_that_wait_for_each_other_are_told(backend: str) -> None:
    """The same around asyncio.run and trio.run; whoever waits for the two is named too."""
    first, second = slots("first"), slots("second")
    message, told = deadlocked(lambda: anyio.run(in_opposite_order, first, second, backend=backend))
    assert told in (1, 2)  # the error of the first may cancel the second
    for name, wanted in (("left", second), ("right", first)):
        line = f'{backend} task "{name}" waits for a place in bulkhead "{wanted.name}", '
        assert re.search(
            line + r".*test_virtual_time_deadlock\.py:\d+ in in_opposite_order.*one$", message, re.MULTILINE
        )
    assert re.search(
        rf"{backend} task .* waits for the end of its TaskGroup, .*in in_opposite_order$", message, re.MULTILINE
    )


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_a_deadlock_inside_a_running_test_is_told(anyio_backend: str) -> None:
    """The loop was there before the block; on trio, here, another thread waits for its input."""
    with virtual_time(deadlock_after=SOON), pytest.raises(ExceptionGroup) as caught:
        await in_opposite_order(slots("first"), slots("second"))
    assert {type(one) for one in errors_in(caught.value)} == {DeadlockError}
    assert f"{anyio_backend} task" in str(errors_in(caught.value)[0])


def test_a_call_that_is_guarded_by_a_decorator_is_told() -> None:
    """A call within a call of the same bulkhead: one place, wanted twice by one thread."""
    guard = slots("itself")

    @guard
    def outer(depth: int) -> int:
        return outer(depth - 1) if depth else 0

    message, told = deadlocked(lambda: outer(1))
    assert told == 1
    assert f'waits for a place in bulkhead "{guard.name}"' in message
    assert re.search(r"in test_a_call_that_is.*outer$", message, re.MULTILINE)
    assert (guard.in_use, guard.waiting, outer(0)) == (0, 0, 0)


@pytest.mark.parametrize("backend", ["thread", *BACKENDS])
def test_who_hangs_in_a_fault_plan_is_told_where_the_users_code_calls(backend: str) -> None:
    """A hang that nothing limits: the plan is named, and the place is the test's, not the inside of the injection."""
    again = retry(on=TimeoutError)

    @again
    def price() -> int:
        return 4217

    @again
    async def aprice() -> int:
        return 4217

    async def main() -> None:
        await aprice()

    name = (price if backend == "thread" else aprice).__qualname__
    with faults.enabled(), faults.inject(name, faults.hang()):
        message, told = deadlocked(price if backend == "thread" else lambda: anyio.run(main, backend=backend))
    assert told == 1
    place = "deadlocked" if backend == "thread" else "test_who_hangs.*main"
    wait = rf'waits for the release of faults\.hang\(\) around "{re.escape(name)}", .*\.py:\d+ in {place}$'
    assert re.search(wait, message, re.MULTILINE)


def lose_every_wakeup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug, put in on purpose: a place that is given back wakes nobody."""

    def give_back(queue: PermitQueue, hold: Hold | None = None) -> None:
        queue.waiting += 0

    monkeypatch.setattr(PermitQueue, "give_back" if GIL else "drop", give_back)


def test_a_lost_wakeup_is_told_to_the_thread_that_waits_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder is done; nobody will ever wake the next."""
    lose_every_wakeup(monkeypatch)
    guard = slots("lost")
    taken = threading.Event()

    def holder() -> None:
        def hold() -> None:
            taken.set()
            while not guard.waiting:
                real_time.sleep(0.0005)

        guard.call(hold)

    def waiter() -> None:
        assert taken.wait(LONG)
        guard.call(lambda: None)

    message, told = deadlocked(lambda: run_threads(holder, waiter))
    assert told == 1
    assert f'waits for a place in bulkhead "{guard.name}"' in message


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lost_wakeup_is_told_to_the_task_that_waits_in_vain(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a loop, after virtual time has passed."""
    lose_every_wakeup(monkeypatch)
    guard = slots("lost")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(guard.acall, anap, 7.0)
            group.start_soon(guard.acall, anap, 7.0)

    message, told = deadlocked(lambda: anyio.run(main, backend=backend))
    assert told == 1
    assert message.startswith("deadlock at virtual time 7: ")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_that_waits_for_what_nobody_sets_is_named(backend: str) -> None:
    """It holds the place that another waits for; the clock has moved on meanwhile, and a third is done."""
    guard = slots("held")

    async def forgetful() -> None:
        await (asyncio.get_running_loop().create_future() if backend == "asyncio" else anyio.Event().wait())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(guard.acall, forgetful, name="holder")
            group.start_soon(anap, 5.0)
            await anyio.lowlevel.checkpoint()
            group.start_soon(guard.acall, forgetful, name="waiter")

    message, told = deadlocked(lambda: anyio.run(main, backend=backend))
    assert told == 1
    assert message.startswith("deadlock at virtual time 5: ")
    what = "a future that nobody sets" if backend == "asyncio" else r"the end of Event.wait\(\)"
    assert re.search(rf'{backend} task "holder" waits for {what}, .* in .*forgetful$', message, re.MULTILINE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_under_a_loop_that_does_not_take_part_are_told(backend: str) -> None:
    """A loop that only waits for its worker threads: they wait for each other."""
    first, second = slots("first"), slots("second")
    met = threading.Barrier(2)

    def one(mine: Bulkhead, other: Bulkhead) -> None:
        with mine.acquire():
            met.wait(LONG)
            other.acquire()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, one, first, second)
            group.start_soon(anyio.to_thread.run_sync, one, second, first)

    message, told = deadlocked(lambda: anyio.run(main, backend=backend))
    assert told in (1, 2)  # as above
    assert f'waits for a place in bulkhead "{first.name}"' in message
    assert re.search(rf"{backend} task .*in test_threads_under", message)


def test_a_thread_and_a_task_that_wait_for_each_other_are_told() -> None:
    """Across the two worlds, with one clock."""
    first, second = slots("first"), slots("second")
    met = threading.Barrier(2)

    def thread() -> None:
        with first.acquire():
            met.wait(LONG)
            second.acquire()

    async def task() -> None:
        with await second.aacquire():
            met.wait(LONG)
            await first.aacquire()

    message, told = deadlocked(lambda: run_threads(thread, lambda: asyncio.run(task())))
    assert told == 1  # run_threads raises the first; both have ended
    assert 'thread "Thread-' in message
    assert re.search(rf'asyncio task .* waits for a place in bulkhead "{first.name}"', message)


def test_it_goes_on_after_a_deadlock() -> None:
    """Nobody keeps a place, nobody is left in line, and the next deadlock is told too."""
    first, second = slots("first"), slots("second")
    with virtual_time(deadlock_after=SOON) as time:
        for _ in range(2):
            with pytest.raises(ExceptionGroup):
                anyio.run(in_opposite_order, first, second)
            assert [(one.in_use, one.waiting) for one in (first, second)] == [(0, 0)] * 2
        nap(3.0)
        assert time.now() == 3.0
        assert first.call(lambda: "free") == "free"


# -- nothing is told where anything may come -------------------------------------------------------------------------


async def held_during(guard: Bulkhead, work: Callable[[], Awaitable[object]]) -> None:
    """One task does its work with the place for which another waits."""
    async with anyio.create_task_group() as group:
        group.start_soon(guard.acall, work)
        await anyio.lowlevel.checkpoint()
        group.start_soon(guard.acall, anyio.lowlevel.checkpoint)


def held_by_a_thread(guard: Bulkhead, work: Callable[[], object]) -> None:
    """The same with threads."""
    taken = threading.Event()

    def holder() -> None:
        with guard.acquire():
            taken.set()
            work()

    def waiter() -> None:
        assert taken.wait(LONG)
        guard.call(lambda: None)

    run_threads(holder, waiter)


def answer_later(far: socket.socket) -> threading.Thread:
    """A server in another process, as far as anybody here can see: a thread from before the block."""

    def serve() -> None:
        real_time.sleep(LATER)
        far.send(b"answer")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slow_socket_is_no_deadlock(backend: str) -> None:
    """The holder of the place waits for an answer that takes several times as long as a deadlock."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        thread = answer_later(far)
        got: list[bytes] = []

        async def read() -> None:
            await anyio.wait_readable(near)
            got.append(near.recv(10))

        with virtual_time(deadlock_after=SOON):
            anyio.run(held_during, slots("socket"), read, backend=backend)
        assert got == [b"answer"]
        thread.join(LONG)


@pytest.mark.usefixtures("system")
def test_a_thread_in_a_slow_socket_is_no_deadlock() -> None:
    """The same without a loop."""
    near, far = socket.socketpair()
    with near, far:
        thread = answer_later(far)
        with virtual_time(deadlock_after=SOON):
            held_by_a_thread(slots("socket"), lambda: near.recv(10))
        thread.join(LONG)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_real_timer_is_no_deadlock(backend: str) -> None:
    """A sleep that is not a policy's ends by itself."""
    with virtual_time(deadlock_after=SOON):
        anyio.run(held_during, slots("timer"), lambda: anyio.sleep(LATER), backend=backend)


def test_a_real_sleep_of_a_thread_is_no_deadlock() -> None:
    """The same in a thread."""
    with virtual_time(deadlock_after=SOON):
        held_by_a_thread(slots("sleep"), lambda: real_time.sleep(LATER))


def computing() -> None:
    end = real_time.monotonic() + LATER
    while real_time.monotonic() < end:
        pass


def computing_in_c() -> None:
    end = real_time.monotonic() + LATER
    while real_time.monotonic() < end:
        hashlib.pbkdf2_hmac("sha256", b"a" * 100, b"salt", 200_000)


@pytest.mark.parametrize("work", [computing, computing_in_c])
def test_a_computation_is_no_deadlock(work: Callable[[], None]) -> None:
    """In Python, and in C where it lets go of the interpreter."""
    with virtual_time(deadlock_after=SOON):
        held_by_a_thread(slots("computing"), work)


def test_a_thread_that_looks_again_and_again_is_no_deadlock() -> None:
    """Whatever it looks for, it may act on it."""
    end = threading.Event()

    def look() -> None:
        began = real_time.monotonic()
        while real_time.monotonic() - began < LATER:
            end.wait(SOON / 10)

    with virtual_time(deadlock_after=SOON):
        held_by_a_thread(slots("looking"), look)


def test_a_thread_that_was_blocked_before_the_block_may_still_give_its_place_back() -> None:
    """It sleeps, for real, since before the block, and holds what somebody inside waits for."""
    guard = slots("before")
    taken = threading.Event()

    def old() -> None:
        with guard.acquire():
            taken.set()
            real_time.sleep(LATER)

    thread = threading.Thread(target=old, daemon=True)
    thread.start()
    assert taken.wait(LONG)
    with virtual_time(deadlock_after=SOON):
        assert guard.call(lambda: "mine") == "mine"
    thread.join(LONG)


def test_a_thread_from_before_the_block_that_has_moved_in_it_may_move_again() -> None:
    """It waits at the same place as ever, for another process, which has been asked for something inside the block."""
    guard = slots("moved")
    taken = threading.Event()
    ours, theirs = os.pipe()

    def old() -> None:
        with guard.acquire():
            taken.set()
            while True:
                if os.read(ours, 1) == b"x":
                    return

    thread = threading.Thread(target=old, daemon=True)
    thread.start()
    assert taken.wait(LONG)
    script = ["sh", "-c", f"read go; printf a; sleep {LATER}; printf x"]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=theirs) as process:
        real_time.sleep(0.01)
        with virtual_time(deadlock_after=SOON):
            assert process.stdin
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert guard.call(lambda: "mine") == "mine"
    thread.join(LONG)
    os.close(ours)
    os.close(theirs)


def test_threads_that_idle_since_before_the_block_do_not_hide_a_deadlock() -> None:
    """A server without a request, a worker without a job."""
    near, far = socket.socketpair()
    idle = threading.Event()
    threads = [
        threading.Thread(target=lambda: near.recv(1), name="server", daemon=True),
        threading.Thread(target=idle.wait, daemon=True),
    ]
    with near, far:
        for thread in threads:
            thread.start()
        real_time.sleep(0.01)
        guard = slots("idle")
        message, told = deadlocked(lambda: guard.call(guard.call, int))
        assert told == 1
        assert re.search(
            r'thread "server" waits for input, .* in test_threads_that_idle.*lambda>$', message, re.MULTILINE
        )
        far.send(b"x")
        idle.set()
        for thread in threads:
            thread.join(LONG)


def test_who_waits_for_virtual_time_is_no_deadlock() -> None:
    """While any virtual wait is to end, things go on: limits expire as ever."""
    guard = slots("limited", max_wait=1000.0)
    with virtual_time(deadlock_after=SOON) as time:
        with guard.acquire(), pytest.raises(BulkheadFullError):
            guard.acquire()
        assert time.now() == 1000.0


# -- the option ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("never", [0, None])
@pytest.mark.parametrize("backend", ["asyncio", "trio", "threads"])
def test_zero_and_none_switch_it_off(never: float | None, backend: str) -> None:
    """Whoever waits goes on waiting, until somebody comes; and nobody looks."""
    guard = slots("off")
    with virtual_time(deadlock_after=never):
        assert RUNTIME.watcher is None
        permit = guard.acquire()
        timer = threading.Timer(2 * SOON, permit.release)
        timer.start()
        if backend == "threads":
            assert guard.call(lambda: "mine") == "mine"
        else:
            anyio.run(guard.acall, anyio.lowlevel.checkpoint, backend=backend)
        assert not [one for one in threading.enumerate() if one.name == "resilix-virtual-time"]
        timer.join(LONG)


def test_nobody_is_told_after_the_block() -> None:
    """Who still waits when it ends goes on waiting as in real time."""
    guard = slots("after")
    ended: list[str] = []
    permit = guard.acquire()
    with virtual_time(deadlock_after=SOON):
        thread = threading.Thread(target=lambda: ended.append(guard.call(lambda: "mine")), daemon=True)
        thread.start()
        while not guard.waiting:
            real_time.sleep(0.0005)
    assert RUNTIME.watcher is None
    thread.join(3 * SOON)
    assert thread.is_alive()
    permit.release()
    thread.join(LONG)
    assert ended == ["mine"]


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), "1", True])
def test_the_time_is_a_duration(after: Any) -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(ConfigurationError, match="deadlock_after"):
        virtual_time(deadlock_after=after)
