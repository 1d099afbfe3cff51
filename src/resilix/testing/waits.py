"""What was waited for inside a ``virtual_time`` block, and by whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

RETRY: Final = "retry"
SLEEP: Final = "sleep"
SPENT: Final = "spent"
EXPIRED: Final = "expired"

MOST = 1_000
"""How many waits are kept for :attr:`VirtualTime.timeline`; older ones are dropped."""

SHOWN = 20
"""How many of them the text of a clock shows."""


class Wait(NamedTuple):
    """One line of :attr:`VirtualTime.timeline`.

    Attributes:
        moment: Virtual seconds at which the wait began.
        seconds: Its length; 0.0 for one that only let others run.
        kind: ``"retry"`` for a wait between attempts, ``"sleep"`` for a sleep that is not a policy's, ``"spent"`` for
            the time that an injected fault takes, ``"expired"`` for a limit (``timeout``, ``max_wait``) that passed.
        who: The label of the retry, else the function that waited, else the name of the thread.
    """

    moment: float
    seconds: float
    kind: str
    who: str

    def __str__(self) -> str:
        return f"{self.moment:>10g}  {self.kind:<7}  {self.seconds:g} s  {self.who}"


class Waits:
    """The book of one block.

    Attributes:
        retries: The seconds of every wait between attempts, in the order in which they began.
        foreign: The same of sleeps that are no policy's.
        last: Both, and the limits that expired, as far as they are kept.
    """

    def __init__(self) -> None:
        self.retries: list[float] = []
        self.foreign: list[float] = []
        self.last: deque[Wait] = deque(maxlen=MOST)

    def add(self, wait: Wait) -> None:
        """Write one down."""
        self.last.append(wait)
        if wait.kind == RETRY:
            self.retries.append(wait.seconds)
        elif wait.kind == SLEEP:
            self.foreign.append(wait.seconds)


def table(waits: Iterable[Wait]) -> list[str]:
    """The last of these waits as lines of text."""
    lines = [str(one) for one in waits]
    earlier = [f"         … {len(lines) - SHOWN} earlier"] if len(lines) > SHOWN else []
    return [*earlier, *lines[-SHOWN:]]
