"""Moves the virtual clock on when everybody who takes part waits for it.

Whoever begins a wait, and every loop that comes to rest, looks whether that was the last one and moves the clock
itself. Only where a thread takes part that does not say what it does, a thread of the conductor's own looks at it for a
few real milliseconds. Nothing here waits for more than a second without moving on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from resilix.testing.crowd import Crowd, ThreadWait, Watch
from resilix.testing.loops import AsyncioParty, Party, State, TrioParty
from resilix.testing.timeline import Entry, Kind, Timeline
from resilix.workers import POOL

if TYPE_CHECKING:
    import asyncio

    from resilix.runtime import Flag

LOOK_EVERY = 0.001
GRACE = {Kind.SLEEP: 0.005, Kind.LIMIT: 0.05, Kind.WORKER: 0.05}
"""Real seconds for which silent threads must stand still before the clock moves on without them."""

MOVING = 0.25
"""Real seconds after which it moves on although a silent thread moves, or the user's function runs in a worker."""

LATE = 1.0
"""Real seconds after which it moves on although somebody who was woken, or asked, has not answered."""


class Conductor:
    """The clock of one block, and everybody who waits for it.

    Attributes:
        timeline: The time and what is due.
        sleeps: The waits between attempts, in the order in which they began.
        epoch: Counts the waits that began or ended.
    """

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.sleeps: list[float] = []
        # Reentrant: a coroutine collected in the middle of anything cancels its wait.
        self._lock = threading.RLock()
        self._crowd = Crowd()
        self._parties: dict[object, Party] = {}
        self.epoch = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        self._poke = threading.Event()

    # -- waiting -------------------------------------------------------------------------------------------

    def wait_thread(
        self, flag: Flag, seconds: float | None, kind: Kind, wake: Callable[[], object], *, listed: bool = True
    ) -> ThreadWait:
        """The calling thread is about to wait; to be followed by :meth:`end_thread` in any case."""
        thread = threading.current_thread()
        with self._lock:
            self.epoch += 1
            entry = None if seconds is None else self.timeline.add(seconds, kind, None, wake)
            wait = self._crowd.waits[thread] = ThreadWait(entry, flag)
            if kind is Kind.SLEEP and seconds is not None and listed:
                self.sleeps.append(seconds)
        self.settle()
        return wait

    def end_thread(self, wait: ThreadWait) -> None:
        """The calling thread goes on."""
        thread = threading.current_thread()
        with self._lock:
            self.epoch += 1
            if self._crowd.waits.get(thread) is wait:
                del self._crowd.waits[thread]
            if wait.entry is not None:
                self.timeline.cancel(wait.entry)

    def wait_loop(
        self, party: Party, seconds: float, kind: Kind, wake: Callable[[], object], *, listed: bool = True
    ) -> Entry:
        """Something in the running loop begins to wait; to be followed by :meth:`end_loop` if it ends otherwise."""
        with self._lock:
            self.epoch += 1
            entry = self.timeline.add(seconds, kind, party, wake)
            if kind is Kind.SLEEP and listed:
                self.sleeps.append(seconds)
        party.stir()
        return entry

    def end_loop(self, entry: Entry) -> None:
        """A wait in a loop has ended, or nobody wants it any more."""
        party = entry.party
        with self._lock:
            if not self.timeline.cancel(entry) or party is None:
                return
            self.epoch += 1
            if party.running:
                party.ask()

    def party(self, loop: asyncio.AbstractEventLoop | None) -> Party:
        """The running loop as one who takes part; ``None`` means the running trio run."""
        if loop is None:
            import trio  # it is running

            key: object = trio.lowlevel.current_trio_token()
        else:
            key = loop
        with self._lock:
            party = self._parties.get(key)
            if party is None:
                party = TrioParty(self) if loop is None else AsyncioParty(self, loop)
                kept = {one: its for one, its in self._parties.items() if its.running}
                self._parties = {**kept, key: party}
            party.thread = threading.current_thread()
            return party

    @property
    def limited(self) -> bool:
        """Whether a limit waits anywhere."""
        return self.timeline.limits > 0

    # -- moving on -----------------------------------------------------------------------------------------

    def report(self, party: Party, state: State) -> None:
        """A loop has come to rest; called in it."""
        with self._lock:
            if party.owed:
                return
            party.state = state
            party.epoch = party.as_of
        self.settle()

    def reached(self, party: Party) -> None:
        """What was sent to a loop from outside has arrived; called in it."""
        with self._lock:
            party.owed -= 1

    def settle(self) -> None:
        """Move the clock if everybody waits; else leave it to those who still run, or have them looked at."""
        me = threading.current_thread()
        if self._closed:
            self._let_go()  # of a straggler that had the old driver in its hands
            return
        with self._lock:
            entries = self.timeline.next()
            expected, silent = self._not_waiting(entries)
            fired: list[Entry] = []
            if not expected and not silent and self._quiet_enough(entries):
                fired = self._fire(entries)
            # A loop goes on to report by itself; a thread may also end without a word.
            others = [one for one in expected if one is not me] + silent
            woken = [one for one in fired if one.party is None or one.party.thread is not me]
            if self.timeline.size and (others or woken):
                self._have_a_look()
        _deliver(fired)

    def advance(self, seconds: float) -> None:
        """Move the clock by hand."""
        with self._lock:
            self.epoch += 1
            target = self.timeline.now + seconds
            fired = self._fire(self.timeline.due(target))
            self.timeline.now = max(self.timeline.now, target)
        _deliver(fired)
        self.settle()

    def close(self) -> None:
        """Let go of everybody who still waits, in order, and stop."""
        with self._lock:
            self._closed = True
            parties = list(self._parties.values())
            self._parties.clear()
        self._let_go()
        for party in parties:
            party.close()
        self._poke.set()
        if self._thread is not None:
            self._thread.join()

    def _let_go(self) -> None:
        with self._lock:
            now = self.timeline.now
            fired = self._fire(self.timeline.due(float("inf")))
            self.timeline.now = now  # the clock stays where the block ended
        _deliver(fired)

    def _fire(self, entries: list[Entry]) -> list[Entry]:
        fired = self.timeline.fire(entries)
        if fired:
            self.epoch += 1
        for party in {one.party for one in fired if one.party is not None}:
            party.state = State.BUSY
            party.owed += 1
        return fired

    def _not_waiting(self, entries: list[Entry]) -> tuple[list[threading.Thread], list[threading.Thread]]:
        """Those who do not wait, when these are due next: who will be heard of, and who does not say what it does."""
        if not entries:
            return [], []
        expected, silent = self._look_around()
        if expected or not silent:
            return expected, silent
        moving = self._crowd.restless(silent, for_sleep=entries[0].kind is Kind.SLEEP)
        # Again, and only now: one that is blocked by now may have woken another just before.
        expected, later = self._look_around()
        return expected, [one for one in later if one in moving or one not in silent]

    def _look_around(self) -> tuple[list[threading.Thread], list[threading.Thread]]:
        loops = {one.thread: one for one in self._parties.values() if one.running}
        expected: list[threading.Thread] = []
        silent: list[threading.Thread] = []
        for thread in self._crowd.members(self._thread):
            wait, party = self._crowd.waits.get(thread), loops.get(thread)
            if wait is not None:
                if wait.over:
                    expected.append(thread)
            elif party is None:
                silent.append(thread)
            elif party.state is State.BUSY:
                expected.append(thread)
            elif party.epoch != self.epoch:
                # Something happened since, and it may have been something for this loop.
                (expected if party.ask() else silent).append(thread)
        return expected, silent

    def _quiet_enough(self, entries: list[Entry]) -> bool:
        """Whether a limit may expire: no loop has heard anything from the world for a while."""
        return (
            not entries
            or entries[0].kind is Kind.SLEEP
            or all(
                one.state is State.QUIET
                for one in self._parties.values()
                if one.running and one.thread not in self._crowd.waits
            )
        )

    # -- looking -------------------------------------------------------------------------------------------

    def _have_a_look(self) -> None:
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_on, name="resilix-virtual-time", daemon=True)
            self._thread.start()
        self._poke.set()

    def _look_on(self) -> None:
        while True:
            self._poke.wait()
            watch, epoch = Watch(), -1
            while True:
                with self._lock:
                    if self._closed:
                        return
                    if not self.timeline.size:
                        self._poke.clear()
                        break
                    if epoch != self.epoch:
                        watch, epoch = Watch(), self.epoch
                    fired = self._fire(self._overdue(watch))
                _deliver(fired)
                time.sleep(LOOK_EVERY)

    def _overdue(self, watch: Watch) -> list[Entry]:
        """What is due next, if those who do not wait need not be waited for any longer."""
        entries = self.timeline.next()
        expected, silent = self._not_waiting(entries)
        watch.look(silent)
        if not entries or watch.lasted(LATE):
            return entries
        if expected or not self._quiet_enough(entries):
            return []
        if not silent or watch.lasted(MOVING):
            return entries
        kind = max(one.kind for one in entries)
        if kind is Kind.WORKER and any(POOL.owns(one) for one in silent):
            return []
        if not watch.stood_still(GRACE[kind]):
            return []
        self._crowd.found_still(silent)
        return entries


def _deliver(entries: list[Entry]) -> None:
    """Wake those whose time has come; without the lock, because event loops and their users' code are called."""
    by_party: dict[Party, list[Entry]] = {}
    for one in entries:
        if one.party is None:
            one.run()
        else:
            by_party.setdefault(one.party, []).append(one)
    for party, own in by_party.items():
        party.deliver(own)
