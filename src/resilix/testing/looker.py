"""The thread of a conductor, started when needed: looks at those who do not say what they do, and for deadlocks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from resilix.testing.crowd import Watch
from resilix.testing.threads import real_sleep

if TYPE_CHECKING:
    from resilix.testing.conductor import Conductor
    from resilix.testing.deadlock import Deadlocks

LOOK_EVERY = 0.001


class Looker:
    """Runs while the clock waits for somebody silent, or somebody waits without a limit.

    Attributes:
        thread: The thread, once there is one.
        stopped: Look no further. Set under the conductor's lock.
    """

    def __init__(self, conductor: Conductor, deadlocks: Deadlocks) -> None:
        self.thread: threading.Thread | None = None
        self._conductor = conductor
        self._deadlocks = deadlocks
        self._poke = threading.Event()
        self._wanted = False
        self.stopped = False

    def look(self) -> None:
        """Look at the silent ones until nobody waits for the clock. Under the conductor's lock."""
        self._wanted = True
        self._wake()

    def look_for_deadlocks(self) -> None:
        """Look whether anybody moves, as long as somebody waits without a limit. Under the conductor's lock."""
        if self._deadlocks.after:
            self._wake()

    def join(self) -> None:
        """Wait for the end of the thread, after ``stopped`` was set."""
        self._poke.set()
        if self.thread is not None:
            self.thread.join()

    def _wake(self) -> None:
        if self.stopped:
            return
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="resilix-virtual-time", daemon=True)
            self.thread.start()
        self._poke.set()

    def _run(self) -> None:
        while not self.stopped:
            self._poke.wait()
            self._look_on()

    def _look_on(self) -> None:
        conductor = self._conductor
        watch, epoch = Watch(), -1
        while not self.stopped:
            with conductor.lock:
                self._wanted = self._wanted and conductor.timeline.size > 0
                hoping = self._deadlocks.after > 0 and conductor.depends_on_others
                if not self._wanted and not hoping:
                    self._poke.clear()
                    return
                if epoch != conductor.epoch:
                    watch, epoch = Watch(), conductor.epoch
            if self._wanted:
                conductor.move_on(watch, epoch)
                real_sleep(LOOK_EVERY)
            else:
                self._deadlocks.look()
                real_sleep(self._deadlocks.every)
