"""Moves the virtual clock on when everybody who takes part waits for it.

Whoever begins a wait, and every loop that comes to rest, looks whether that was the last one and moves the clock
itself. Only where a thread takes part that does not say what it does, a thread of the conductor's own looks at it for a
few real milliseconds. Nothing here waits for more than a second without moving on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from resilix.locks import RLock
from resilix.testing.crowd import Crowd, EndlessWait, ThreadWait, Watch
from resilix.testing.deadlock import Deadlocks, Standstill
from resilix.testing.looker import Looker
from resilix.testing.loops import AsyncioParty, Party, State, TrioParty
from resilix.testing.stuck import DeadlockError
from resilix.testing.timeline import Entry, Kind, Timeline
from resilix.testing.waits import EXPIRED, Wait, Waits
from resilix.workers import POOL

if TYPE_CHECKING:
    import asyncio

    from resilix.runtime import Flag

GRACE = {Kind.SLEEP: 0.005, Kind.LIMIT: 0.05, Kind.FOREIGN: 0.05, Kind.WORKER: 0.05}
"""Real seconds for which silent threads must stand still before the clock moves on without them."""

MOVING = 0.25
"""Real seconds after which it moves on although a silent thread moves, or the user's function runs in a worker."""

LATE = 1.0
"""Real seconds after which it moves on although somebody who was woken, or asked, has not answered."""


class Conductor:
    """The clock of one block, and everybody who waits for it.

    Attributes:
        timeline: The time and what is due.
        waits: The book of what was waited for.
        epoch: Counts the waits that began or ended.
        lock: Held while any of this changes.
    """

    def __init__(self, deadlock_after: float) -> None:
        self.timeline = Timeline()
        self.waits = Waits()
        # Reentrant: a coroutine collected in the middle of anything cancels its wait.
        self.lock = RLock()
        self._crowd = Crowd()
        self._parties: dict[object, Party] = {}
        self.epoch = 0
        self._closed = False
        self._looker = Looker(self, Deadlocks(self, deadlock_after))

    # -- waiting -------------------------------------------------------------------------------------------

    def wait_thread(
        self, flag: Flag, seconds: float | None, kind: Kind, wake: Callable[[], object], what: str, who: str
    ) -> ThreadWait:
        """The calling thread is about to wait; to be followed by :meth:`end_thread` in any case."""
        thread = threading.current_thread()
        with self.lock:
            self.epoch += 1
            entry = None if seconds is None else self._begin(what, who, seconds, kind, None, wake)
            wait = self._crowd.waits[thread] = ThreadWait(entry, flag)
            if entry is None:
                self._looker.look_for_deadlocks()
        self.settle()
        return wait

    def end_thread(self, wait: ThreadWait) -> None:
        """The calling thread goes on."""
        thread = threading.current_thread()
        with self.lock:
            self.epoch += 1
            if self._crowd.waits.get(thread) is wait:
                del self._crowd.waits[thread]
            if wait.entry is not None:
                self.timeline.cancel(wait.entry)

    def wait_loop(
        self, party: Party, seconds: float, kind: Kind, wake: Callable[[], object], what: str, who: str
    ) -> Entry:
        """Something in the running loop begins to wait; to be followed by :meth:`end_loop` if it ends otherwise."""
        with self.lock:
            self.epoch += 1
            entry = self._begin(what, who, seconds, kind, party, wake)
        party.stir()
        return entry

    def pass_by(self, what: str, who: str) -> None:
        """Write down a wait of no length."""
        with self.lock:
            self.waits.add(Wait(self.timeline.now, 0.0, what, who))

    def wait_endlessly(self, party: Party, wake: Callable[[], object]) -> EndlessWait:
        """A task of the running loop begins to wait for somebody; to be followed by :meth:`end_endless`."""
        with self.lock:
            self.epoch += 1
            wait = EndlessWait(party, wake)
            self._crowd.endless[wait] = None
            self._looker.look_for_deadlocks()
        party.stir()
        return wait

    def end_endless(self, wait: EndlessWait) -> None:
        """Such a wait has ended, or nobody wants it any more."""
        with self.lock:
            self._crowd.endless.pop(wait, None)
            self.epoch += 1
            if wait.party.running and not self._closed:
                wait.party.ask()

    def _begin(
        self, what: str, who: str, seconds: float, kind: Kind, party: Party | None, wake: Callable[[], object]
    ) -> Entry:
        note = Wait(self.timeline.now, seconds, what, who)
        if kind is Kind.SLEEP:
            self.waits.add(note)
        return self.timeline.add(note, kind, party, wake)

    def end_loop(self, entry: Entry) -> None:
        """A wait in a loop has ended, or nobody wants it any more."""
        party = entry.party
        with self.lock:
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
        with self.lock:
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
        with self.lock:
            if party.owed:
                return
            party.state = state
            party.epoch = party.as_of
        self.settle()

    def reached(self, party: Party) -> None:
        """What was sent to a loop from outside has arrived; called in it."""
        with self.lock:
            party.owed -= 1

    def settle(self) -> None:
        """Move the clock if everybody waits; else leave it to those who still run, or have them looked at."""
        me = threading.current_thread()
        if self._closed:
            self._let_go()  # of a straggler that had the old driver in its hands
            return
        with self.lock:
            entries = self.timeline.next()
            expected, silent = self._not_waiting(entries)
            fired: list[Entry] = []
            if not expected and not silent and self._quiet_enough(entries):
                fired = self._fire(entries)
            # A loop goes on to report by itself; a thread may also end without a word.
            others = [one for one in expected if one is not me] + silent
            woken = [one for one in fired if one.party is None or one.party.thread is not me]
            if self.timeline.size and (others or woken):
                self._looker.look()
        _deliver(fired)

    def advance(self, seconds: float) -> None:
        """Move the clock by hand."""
        with self.lock:
            self.epoch += 1
            target = self.timeline.now + seconds
            fired = self._fire(self.timeline.due(target))
            self.timeline.now = max(self.timeline.now, target)
        _deliver(fired)
        self.settle()

    def close(self) -> None:
        """Let go of everybody who still waits, in order, and stop."""
        with self.lock:
            self._closed = self._looker.stopped = True
            parties = list(self._parties.values())
            self._parties.clear()
        self._let_go()
        for party in parties:
            party.close()
        self._looker.join()

    def _let_go(self) -> None:
        with self.lock:
            now = self.timeline.now
            fired = self._fire([one for one in self.timeline.due(float("inf")) if one.kind is not Kind.FOREIGN])
            self.timeline.now = now  # the clock stays where the block ended
        _deliver(fired)

    def _fire(self, entries: list[Entry]) -> list[Entry]:
        fired = self.timeline.fire(entries)
        if fired:
            self.epoch += 1
        for one in fired:
            if one.note.kind == EXPIRED and not self._closed:
                self.waits.add(one.note)
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
        for thread in self._crowd.members(self._looker.thread):
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

    # -- what the looker asks ------------------------------------------------------------------------------

    def move_on(self, watch: Watch, epoch: int) -> None:
        """Move the clock if those who do not wait need not be waited for, and nothing has begun or ended meanwhile."""
        with self.lock:
            fired = self._fire(self._overdue(watch)) if epoch == self.epoch else []
        _deliver(fired)

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

    @property
    def depends_on_others(self) -> bool:
        """Whether anybody waits for somebody else without a limit."""
        return bool(self._crowd.endless_waits())

    def standstill(self) -> Standstill | None:
        """How things stand if nobody's wait will end by the clock and somebody waits for another; else ``None``."""
        with self.lock:
            waiting = self._crowd.endless_waits()
            if self._closed or self.timeline.size or not waiting or any(one.over for one in waiting):
                return None
            members = self._crowd.members(self._looker.thread)
            asleep = [one for one in members if one in self._crowd.waits]
            awake = [one for one in members if one not in self._crowd.waits]
            runs = {key: one for key, one in self._parties.items() if one.running and one.thread not in asleep}
            return Standstill(self.epoch, waiting, asleep, awake, runs, self.timeline.now)

    def fail(self, seen: Standstill, message: str) -> None:
        """Raise in everybody who waits for another, if all is still as it was."""
        with self.lock:
            if self._closed or self.epoch != seen.epoch or any(one.over for one in seen.waiting):
                return
            self.epoch += 1
            for one in seen.waiting:
                one.error = DeadlockError(message)  # in all before the first can raise and give its place to the next
        for one in seen.waiting:
            one.wake()


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
