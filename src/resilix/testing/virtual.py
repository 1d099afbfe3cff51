"""``virtual_time``: every policy inside the block waits without waiting."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from resilix.clock import SYSTEM, seeded
from resilix.core import options
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError
from resilix.locks import Lock
from resilix.runtime import RUNTIME, RealDriver
from resilix.testing.conductor import Conductor
from resilix.testing.driver import VirtualDriver
from resilix.testing.foreign import ForeignSleeps
from resilix.testing.waits import Wait, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilix.runtime import Driver

_SWAP = Lock()


class VirtualTime:
    """Made by :func:`virtual_time`, where it is described. One block each."""

    def __init__(self, seed: int | None, *, foreign_sleeps: bool, deadlock_after: float) -> None:
        self._seed = seed
        self._foreign = foreign_sleeps
        self._deadlock_after = deadlock_after
        self._conductor: Conductor | None = None
        self._undo = ExitStack()
        self._over = False

    def __repr__(self) -> str:
        return f"<virtual time {self.now():g}>"

    def __str__(self) -> str:
        return "\n".join([repr(self), *table(self.timeline)])

    def now(self) -> float:
        """Virtual seconds since the block began; after the block, where it ended."""
        return 0.0 if self._conductor is None else self._conductor.timeline.now

    @property
    def sleeps(self) -> list[float]:
        """The seconds of every wait between attempts, in the order in which the waits began."""
        return [] if self._conductor is None else list(self._conductor.waits.retries)

    @property
    def foreign_sleeps(self) -> list[float]:
        """The same of the sleeps that are not a policy's: empty without ``virtual_time(foreign_sleeps=True)``."""
        return [] if self._conductor is None else list(self._conductor.waits.foreign)

    @property
    def timeline(self) -> list[Wait]:
        """What was waited for, and by whom: waits and sleeps as they began, limits as they expired; the last 1,000.

        ``str(time)`` has the last twenty as a table, for the message of an assertion.
        """
        return [] if self._conductor is None else list(self._conductor.waits.last)

    def advance(self, seconds: Seconds) -> None:
        """Move the clock by hand: what is due by then ends or expires, in order.

        Those who wake up see the time after the whole advance.

        Example::

            time.advance(30.0)      # the breaker's open_for is over

        Args:
            seconds: Zero or more, a number or a ``timedelta``. Zero: only what is due already.

        Raises:
            ConfigurationError: ``seconds`` is negative, infinite, NaN or no duration; or the block is not running.
        """
        length = options.duration("VirtualTime.advance", "seconds", seconds, zero="what is due already")
        if self._conductor is None or self._over:
            raise ConfigurationError(
                "VirtualTime.advance(): its block is not running, so nothing follows this clock; "
                "call it inside with virtual_time() as time: …"
            )
        self._conductor.advance(length)

    def __enter__(self) -> Self:
        with _SWAP:
            if isinstance(RUNTIME.driver, VirtualDriver):
                raise ConfigurationError(
                    "virtual_time(): another one is running, and there is only one clock; use the one that the outer "
                    "block gave you (pass it on), or leave that block first"
                )
            if not isinstance(RUNTIME.driver, RealDriver):
                raise ConfigurationError(
                    "virtual_time(): this is run by simulate() or explore(), which has virtual time of its own, where "
                    "waits cost nothing; leave virtual_time() out (a scenario of explore() has schedule.now())"
                )
            if self._over:
                raise ConfigurationError(
                    "virtual_time(): this one has ended; make a new one for each block: with virtual_time() as time: …"
                )
            conductor = self._conductor = Conductor(self._deadlock_after)
            self._undo.callback(conductor.close)
            if self._seed is not None:
                self._undo.enter_context(seeded(self._seed))
            self._undo.callback(self._restore, SYSTEM.now, RUNTIME.driver)
            SYSTEM.now = self.now
            driver = VirtualDriver(conductor)
            RUNTIME.driver = driver
            DEADLINE.attend(virtual=True)
            if self._deadlock_after:
                RUNTIME.watcher = driver
            if self._foreign:
                foreign = ForeignSleeps(driver)
                foreign.replace()
                self._undo.callback(foreign.restore)
        return self

    def _restore(self, now: Callable[[], float], driver: Driver) -> None:
        with _SWAP:
            SYSTEM.now = now
            RUNTIME.driver = driver
            DEADLINE.attend(virtual=False)
            RUNTIME.watcher = None
            self._over = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._undo.close()


def virtual_time(
    seed: int | None = None, *, foreign_sleeps: bool = False, deadlock_after: Seconds | None = 5.0
) -> VirtualTime:
    """Give every policy used inside the block one virtual clock, which waits move on by themselves.

    Example::

        with virtual_time() as time:
            with pytest.raises(ConnectionError):
                price("ACME")               # retry(on=ConnectionError, attempts=3, wait=1.0)
            assert time.sleeps == [1.0, 1.0], str(time)
            assert time.now() == 2.0

    It begins at 0.0. It works around sync code, around ``asyncio.run`` or ``trio.run``, and inside a running async
    test; for any number of threads and event loops together. Policies made before the block follow it too, unless they
    were given a ``clock=`` of their own. A breaker that has counted or opened before the block keeps what it wrote down
    by the real clock: make a new one for the test.

    The clock jumps to the next end of a wait when every thread and every loop waits for it, or is blocked. A thread
    that was blocked before the block began counts as blocked until it moves. At one moment, waits between attempts end
    before limits expire: what finishes exactly at its limit is in time.

    What the clock cannot see, and what it does about it:

    - A thread blocked in something real (``join``, ``queue.get``, a socket): a wait between attempts ends without it
      once it has stood still for 5 ms of real time, a limit (``max_wait``) expires after 50 ms; both after 250 ms
      without any virtual wait beginning or ending, although it moves.
    - An event loop that waits for a real answer: a limit (``timeout``, ``max_wait``) expires once every loop has had
      nothing to do for 50 ms. Waits between attempts do not wait for real answers.
    - The function of a sync ``timeout`` while it computes or blocks for real: the timeout expires after 250 ms without
      any virtual wait beginning or ending. While it waits virtually, the timeout expires exactly.
    - An asyncio task that takes more than 25 steps from one virtual wait to the next without any real time: others may
      be woken before it.

    **Sleeps that are not a policy's.** With ``foreign_sleeps=True`` the functions ``time.sleep``, ``asyncio.sleep``,
    ``trio.sleep`` and ``anyio.sleep`` of the modules that are loaded are replaced for the length of the block: they
    move the clock like waits between attempts, and are written down in ``foreign_sleeps``. Limits around them follow if
    your own code sets them: ``asyncio.timeout``, ``asyncio.wait_for``, and ``move_on_after`` and ``fail_after`` of trio
    and anyio also expire when a wait takes the clock past them. They never send the clock anywhere, and stay real as
    well: what answers for real keeps its time.

    Off by default, because it reaches into code that is not yours: a library that looks every tenth of a second whether
    something real has happened would look ten thousand times instead. Real all the same:

    - a name taken before the block (``from time import sleep``), and modules first imported inside it;
    - threads that were running before the block, but for what it hands to them with its context (``asyncio.to_thread``,
      ``anyio.to_thread``, a portal); the waits of policies follow the clock there too;
    - sleeps of length zero, infinite ones, and those of ``subprocess`` and ``multiprocessing``;
    - every clock (``time.time``, ``time.monotonic``, ``loop.time``, ``trio.current_time``), and so whatever waits for a
      moment: ``trio.sleep_until``, ``anyio.sleep_until``, ``asyncio.timeout_at``, ``loop.call_at``,
      ``loop.call_later``, and a limit that is given another moment;
    - limits that a library sets, and the timeouts of ``Event.wait``, ``queue.get``, ``asyncio.wait`` and sockets.

    **Deadlocks.** When everybody waits for somebody else (a bulkhead with ``max_wait=None``) and nothing has moved for
    ``deadlock_after`` real seconds, those who wait for a policy get a :class:`DeadlockError` that says who waits where.
    Nothing is reported while anything may come from outside: while a loop waits for a timer, a socket or a process, or
    a thread does anything but wait for another (one that has been waiting for input since before the block aside). An
    event loop that is neither asyncio's own nor trio counts as one to which anything may come.

    When the block ends, the real clock is back, also after an error, and whoever still waits is let go at once, in
    order: waits between attempts end, limits expire.

    Args:
        seed: Makes the jitter drawn inside repeatable, and restores the generator of ``random`` afterwards; ``None``
            leaves it as it is.
        foreign_sleeps: Whether sleeps that are not a policy's are virtual too.
        deadlock_after: Real seconds without any movement after which a deadlock is reported; 0 or ``None`` for never.

    Raises:
        ConfigurationError: ``seed`` is no whole number, ``foreign_sleeps`` no bool, ``deadlock_after`` negative,
            infinite, NaN or no duration; or, on entering, another block, a simulation or an exploration is running.
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise options.refuse(
            "virtual_time", "seed", seed, "it is where the random generator starts", "write seed=7, or leave it out"
        )
    if not isinstance(foreign_sleeps, bool):
        raise options.refuse(
            "virtual_time",
            "foreign_sleeps",
            foreign_sleeps,
            "it is a switch",
            "write foreign_sleeps=True, or leave it out",
        )
    after = 0.0
    if deadlock_after is not None:
        after = options.duration("virtual_time", "deadlock_after", deadlock_after, zero="never")
    return VirtualTime(seed, foreign_sleeps=foreign_sleeps, deadlock_after=after)
