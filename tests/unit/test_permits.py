"""The queue of places against a model of a few lines, and what may happen at its door."""

from __future__ import annotations

import dis
import gc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from resilix.core.permits import HeldPlaces, Hold, PermitQueue


class Caller:
    """Somebody who wants a place. ``dead``: its event loop is closed."""

    def __init__(self, queue: PermitQueue, *, dead: bool = False) -> None:
        self.hold = Hold(queue)
        self.dead = dead
        self.wakes = 0

    def wake(self) -> None:
        if self.dead:
            raise RuntimeError("Event loop is closed")
        assert self.hold.needed == 1, "woken without a place"
        self.wakes += 1


class QueueMachine(RuleBasedStateMachine):
    """The model: who holds a place with how many needing it, who waits in which order, and how many are bare."""

    @initialize(limit=st.integers(1, 4), bound=st.none() | st.integers(0, 5))
    def start(self, limit: int, bound: int | None) -> None:
        self.queue = PermitQueue(limit, bound)
        self.holding: dict[Caller, int] = {}
        self.line: list[Caller] = []
        self.gone: list[Caller] = []
        self.bare = 0

    @property
    def free(self) -> int:
        return self.queue.limit - len(self.holding) - self.bare

    @rule()
    def take(self) -> None:
        caller = Caller(self.queue)
        expected = self.free > 0
        assert caller.hold.take() is expected
        if expected:
            self.holding[caller] = 1

    @rule(dead=st.booleans())
    def arrive(self, dead: bool) -> None:
        caller = Caller(self.queue, dead=dead)
        free, bound = self.free, self.queue.queue
        accepted = caller.hold.enqueue(caller.wake)
        if free > 0:
            assert accepted
            self.holding[caller] = 1
        elif bound is not None and len(self.line) >= bound:
            assert not accepted
        else:
            assert accepted
            self.line.append(caller)

    def pass_on(self) -> None:
        while self.line:
            heir = self.line.pop(0)
            if not heir.dead:
                assert heir.wakes == 1
                self.holding[heir] = 1
                return
            self.gone.append(heir)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(list(self.holding)))
        caller.hold.drop()
        self.holding[caller] -= 1
        if not self.holding[caller]:
            del self.holding[caller]
            self.gone.append(caller)
            self.pass_on()

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(list(self.holding)))
        caller.hold.retain()
        self.holding[caller] += 1

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.line))
        caller.hold.drop()
        self.line.remove(caller)
        self.gone.append(caller)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), retain=st.booleans())
    def touch_what_is_over(self, data: st.DataObject, retain: bool) -> None:
        caller = data.draw(st.sampled_from(self.gone))
        if retain:
            caller.hold.retain()
        caller.hold.drop()

    @precondition(lambda self: self.queue.free > 0)
    @rule()
    def take_without_the_lock(self) -> None:
        self.queue.free -= 1
        self.bare += 1

    @precondition(lambda self: self.bare)
    @rule()
    def give_back(self) -> None:
        self.bare -= 1
        if self.queue.waiting:
            self.queue.give_back()
        else:
            self.queue.free += 1
        self.pass_on()

    @invariant()
    def agrees(self) -> None:
        queue = self.queue
        assert queue.free == self.free >= 0
        assert queue.waiting == len(self.line)
        assert not (queue.waiting and queue.free)
        for caller, needed in self.holding.items():
            assert (caller.hold.needed, caller.hold.queued) == (needed, False)
        for caller in self.line:
            assert (caller.hold.needed, caller.hold.queued, caller.wakes) == (0, True, 0)
        for caller in self.gone:
            assert (caller.hold.needed, caller.hold.queued) == (0, False)

    def teardown(self) -> None:
        """Whoever is served to the end leaves every place free."""
        while hasattr(self, "queue") and (self.holding or self.bare):
            if self.bare:
                self.give_back()
            for caller in list(self.holding):
                for _ in range(self.holding.pop(caller)):
                    caller.hold.drop()
                self.pass_on()
        if hasattr(self, "queue"):
            assert not self.line
            assert (self.queue.free, self.queue.waiting) == (self.queue.limit, 0)


QueueMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestQueueAgainstAModel = QueueMachine.TestCase


def in_line(queue: PermitQueue, count: int, *, dead: bool = False) -> list[Caller]:
    callers = [Caller(queue, dead=dead) for _ in range(count)]
    for caller in callers:
        assert caller.hold.enqueue(caller.wake)
    return callers


def test_two_thousand_waiters_of_a_closed_loop_are_passed_over() -> None:
    """A place goes past any number of dead waiters to the first living one, without a frame for each."""
    queue = PermitQueue(1, None)
    holder = Caller(queue)
    assert holder.hold.take()
    in_line(queue, 2000, dead=True)
    (living,) = in_line(queue, 1)
    holder.hold.drop()
    assert (living.wakes, queue.waiting, queue.free) == (1, 0, 0)
    living.hold.drop()
    assert queue.free == 1


def test_a_place_nobody_is_left_for_is_free() -> None:
    """With only dead waiters in line the place ends up free, not lost."""
    queue = PermitQueue(1, None)
    holder = Caller(queue)
    assert holder.hold.take()
    dead = in_line(queue, 3, dead=True)
    holder.hold.drop()
    assert (queue.free, queue.waiting) == (1, 0)
    for caller in dead:
        caller.hold.drop()
    assert queue.free == 1


def test_an_error_of_another_kind_in_wake_is_not_hidden() -> None:
    """Only a closed loop means that nobody is there; anything else is a fault of ours and comes out."""
    queue = PermitQueue(1, None)
    holder = Caller(queue)
    assert holder.hold.take()

    def broken() -> None:
        raise LookupError

    hold = Hold(queue)
    assert hold.enqueue(broken)
    with pytest.raises(LookupError):
        holder.hold.drop()
    assert hold.needed == 1


def test_a_hold_that_is_over_cannot_be_retained() -> None:
    """A task that outlived the call it was started in must not give that call's place back a second time."""
    queue = PermitQueue(1, None)
    hold = Hold(queue)
    assert hold.take()
    hold.drop()
    hold.retain()
    hold.drop()
    hold.drop()
    assert queue.free == 1


def test_leaving_from_any_position_keeps_the_order() -> None:
    """First, middle and last may give up; the others are served in their order."""
    for leaver in range(5):
        queue = PermitQueue(1, None)
        holder = Caller(queue)
        assert holder.hold.take()
        line = in_line(queue, 5)
        line.pop(leaver).hold.drop()
        served = holder
        for caller in line:
            assert [one.wakes for one in line if one.wakes] == [1] * line.index(caller)
            served.hold.drop()
            assert caller.wakes == 1
            served = caller
        served.hold.drop()
        assert (queue.free, queue.waiting) == (1, 0)


def test_nothing_is_called_under_the_lock() -> None:
    """No call, no allocation of a container: neither a signal handler nor the garbage collector can run in there.

    A suspended coroutine that is collected drops its hold; under the lock of the same thread that would be a deadlock.
    """
    from resilix.core.budget import BudgetCore

    methods = [PermitQueue.take, PermitQueue.enqueue, PermitQueue.retain, PermitQueue._let_go, PermitQueue.reject]
    methods += [BudgetCore.spend, BudgetCore.give]
    for method in methods:
        instructions = list(dis.get_instructions(method))
        begin = next(i for i, one in enumerate(instructions) if one.opname in ("BEFORE_WITH", "LOAD_SPECIAL"))
        if instructions[begin].opname == "LOAD_SPECIAL":  # from 3.14 on: __exit__, __enter__, and a call of that
            begin = next(i for i, one in enumerate(instructions) if i > begin and one.opname == "CALL")
        end = next(i for i, one in enumerate(instructions) if one.opname == "PUSH_EXC_INFO")
        called = [
            (one.opname, one.positions)
            for i, one in enumerate(instructions[begin + 1 : end], begin + 1)
            if one.opname.startswith(("CALL", "BUILD", "GET_ITER", "IMPORT", "JUMP_BACKWARD", "FORMAT"))
            # Leaving the block is a call too: __exit__(None, None, None).
            and not all(before.argval is None for before in instructions[i - 2 : i] if before.opname != "PRECALL")
        ]
        assert not called, f"{method.__qualname__} calls something under its lock: {called}"


def test_a_coroutine_collected_anywhere_does_not_deadlock() -> None:
    """The collector may drop holds in the middle of any other operation of the same thread."""
    queue = PermitQueue(1, None)

    class Dying:
        def __init__(self) -> None:
            self.hold = Hold(queue)
            self.hold.enqueue(lambda: None)
            self.cycle = self

        def __del__(self) -> None:
            self.hold.drop()

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            caller = Caller(queue)
            caller.hold.enqueue(caller.wake)
            Dying()
            caller.hold.drop()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert (queue.free, queue.waiting) == (1, 0)


def test_refusals_are_counted() -> None:
    """``reject`` counts one."""
    queue = PermitQueue(1, 0)
    queue.reject()
    queue.reject()
    assert queue.rejected == 2


def test_an_orphaned_queue_wakes_nobody_and_takes_places_back() -> None:
    """In a forked child the parent's waiters are not here; its places may still come back to the old queue."""
    queue = PermitQueue(2, None)
    held = [Caller(queue), Caller(queue)]
    assert all(one.hold.take() for one in held)
    line = in_line(queue, 2)
    queue._lock.acquire()  # as if another thread of the parent had held it in the moment of the fork
    queue.orphan()
    for one in (*line, *held):
        one.hold.drop()
    assert [one.wakes for one in line] == [0, 0]
    assert (queue.free, queue.waiting) == (2, 0)


def test_held_places_may_be_left_from_another_context() -> None:
    """A generator fixture is entered in one context and left in another; that is no error."""
    from contextvars import copy_context

    places, hold = HeldPlaces(), Hold(PermitQueue(1, None))
    other = copy_context()
    token = other.run(places.push, hold)
    places.pop(token)
    assert places.current() == ()
    assert other.run(places.current) == (hold,)
    other.run(places.pop, token)
    assert other.run(places.current) == ()
