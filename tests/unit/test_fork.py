"""Fork: nothing of the parent's other threads matters in the child, and the child changes nothing in the parent.

Each test is a script in a process of its own, because a fork copies everything, the test runner included.
"""

from __future__ import annotations

import os

import pytest
from tests.support.forks import forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_places_the_parent_holds_are_free_in_the_child() -> None:
    """A permit, a running call and a waiter of the parent: the child starts with all places free, nobody in line."""
    shown = forking("""
    slots = Bulkhead("slots", limit=2, max_wait=None)
    permit, go, inside = slots.acquire(), threading.Event(), threading.Event()

    def body():
        inside.set()
        go.wait()

    runner = threading.Thread(target=slots.call, args=(body,))
    runner.start()
    inside.wait()
    waiter = threading.Thread(target=slots.call, args=(lambda: None,))
    waiter.start()
    eventually(lambda: slots.waiting == 1)

    def child():
        before = (slots.free, slots.waiting, slots.rejected)
        permit.release()
        with slots.acquire(), slots.acquire():
            full = slots.free
        return before, full, slots.free, slots.waiting

    show(in_child(child))
    show(slots.free, slots.waiting)
    permit.release()
    go.set()
    runner.join()
    waiter.join()
    show(slots.free, slots.waiting)
    """)
    assert shown == [(((2, 0, 0), 0, 2, 0),), (0, 1), (2, 0)]


@pytest.mark.parametrize("held", ["False", "True"])
def test_a_call_that_forks_ends_in_both_processes(held: str) -> None:
    """The child leaves the guarded function too, and gives the place to the parent's queue it took it from."""
    shown = forking(f"""
    from resilix.core.permits import HELD
    if {held}:
        HELD.use()
    slots = Bulkhead("slots", limit=1, max_wait=None)
    pids, waiters = [], []

    @slots
    def forks():
        waiter = threading.Thread(target=slots.call, args=(lambda: None,))
        waiter.start()
        waiters.append(waiter)
        eventually(lambda: slots.waiting == 1)
        pids.append(os.fork())
        return slots.free, slots.waiting

    inside = forks()
    if pids[0] == 0:
        with slots.acquire():
            show("child", *inside, slots.free, slots.waiting)
        os._exit(0 if slots.free == 1 else 1)
    status = os.waitpid(pids[0], 0)[1]
    waiters[0].join()
    show("parent", *inside, slots.free, slots.waiting, status)
    """)
    assert shown == [("child", 1, 0, 0, 0), ("parent", 0, 1, 1, 0, 0)]


def test_a_release_in_the_child_does_not_reach_into_the_parents_loop() -> None:
    """The parent's waiting task is not woken by a copy of its permit: only the parent can hand its place over."""
    shown = forking("""
    import asyncio
    slots = Bulkhead("slots", limit=1, max_wait=None)
    ran = []

    async def body():
        ran.append(os.getpid())

    async def main():
        permit = slots.acquire()
        task = asyncio.ensure_future(slots.acall(body))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        answer = in_child(lambda: (permit.release(), slots.free))
        loop._ssock.setblocking(False)
        try:
            sent = loop._ssock.recv(16)
        except BlockingIOError:
            sent = b""
        show(answer, slots.waiting, ran, sent)
        permit.release()
        await task
        show(ran == [os.getpid()], slots.free)

    asyncio.run(main())
    """)
    assert shown == [((None, 1), 1, [], b""), (True, 1)]


def test_a_lock_that_was_held_at_the_fork_is_fresh_in_the_child() -> None:
    """Another thread of the parent may be anywhere: bulkhead and budget work in the child."""
    shown = forking("""
    slots = Bulkhead("slots", limit=1)
    budget = RetryBudget("budget", tokens=30, cost=10)
    old = slots._queue
    permit = slots.acquire()
    attempts = []

    @retry(on=ConnectionError, attempts=3, wait=0, budget=budget)
    @slots
    def failing():
        attempts.append(1)
        raise ConnectionError

    def child():
        permit.release()
        try:
            failing()
        except ConnectionError:
            return len(attempts), budget.remaining, slots.free

    with old._lock, budget.core.lock:
        show(in_child(child))
    show(budget.remaining, slots.free)
    """)
    assert shown == [((3, 10, 1),), (30, 0)]


def test_sync_timeouts_work_in_the_child() -> None:
    """The parent's idle workers are not there: the child makes its own, and a timeout still ends a wait."""
    shown = forking("""
    guarded = timeout(20.0)(os.getpid)
    parent = guarded()
    hang = threading.Event()

    def child():
        first = guarded() == os.getpid() != parent
        try:
            timeout(0.01).call(hang.wait, 20)
        except TimeoutExceededError:
            return first, "in time"

    show(parent == os.getpid(), in_child(child), guarded() == parent)
    """)
    assert shown == [(True, (True, "in time"), True)]


def test_a_place_kept_by_an_abandoned_call_of_the_parent_is_free_in_the_child() -> None:
    """The call runs in the parent only, and gives the place back there only."""
    shown = forking("""
    slots = Bulkhead("slots", limit=1)
    hang = threading.Event()
    try:
        slots(timeout(0.01)(hang.wait))()
    except TimeoutExceededError:
        pass
    show(slots.free, in_child(lambda: (slots.free, slots.call(lambda: slots.free), slots.free)))
    hang.set()
    eventually(lambda: slots.free == 1)
    show(slots.free)
    """)
    assert shown == [(0, (1, 0, 1)), (1,)]


def test_forked_workers_draw_different_jitter() -> None:
    """Four workers of one parent do not retry in step; the waits are recorded, not slept."""
    shown = forking("""
    from resilix.runtime import RUNTIME
    waits = []
    RUNTIME.driver.sleep = waits.append
    guarded = retry(on=ConnectionError, attempts=6)

    def failing():
        raise ConnectionError

    def draw():
        waits.clear()
        try:
            guarded.call(failing)
        except ConnectionError:
            return list(waits)

    draw()  # the parent has used its random source already
    show([in_child(draw) for worker in range(4)])
    """)
    ((workers,),) = shown
    assert [len(waits) for waits in workers] == [5, 5, 5, 5]
    drawn = [wait for waits in workers for wait in waits]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= wait <= 0.1 * 2**index for waits in workers for index, wait in enumerate(waits))


def test_the_childs_children_are_forked_well_too() -> None:
    """A grandchild starts afresh as well."""
    shown = forking("""
    slots = Bulkhead("slots", limit=2)

    def child():
        permit = slots.acquire()
        return slots.free, in_child(lambda: (slots.free, permit.release(), slots.free)), slots.free

    with slots.acquire():
        show(in_child(child), slots.free)
    """)
    assert shown == [((1, (2, None, 2), 1), 1)]
