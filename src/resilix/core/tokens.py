"""Places for interpreters without a GIL: as in ``permits.py``, with some of them at hand as tokens.

There ``free -= 1`` can be torn, so it is only done under the lock. What a quiet call takes without it is a *token*: a
hold that has its place already, in a deque, where taking one and putting one back are single atomic operations
(made so for free threading in CPython 3.13). Places become tokens when a quiet call finds none, and stop being
some when anybody needs them under the lock: whoever lines up says so first and looks for tokens then, and whoever puts
one back looks afterwards whether anybody waits (``bulkhead_quiet.py``), so one of the two sees the other.

A token that is lost on its way (an interrupt between taking it and the ``try:`` behind that) gives its place back when
it is collected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from resilix.attention import GIL
from resilix.core.permits import Hold, PermitQueue


class Token(Hold):
    """A hold that gives its place back when nobody has it any more."""

    __slots__ = ()

    def __del__(self) -> None:
        if getattr(self, "needed", 0):  # an interrupt may have come before it was made
            self.drop()


class TokenQueue(PermitQueue):
    """Places of which some are at hand.

    Attributes:
        tokens: The places at hand; nobody has them.
    """

    __slots__ = ("tokens",)

    def __init__(self, limit: int, queue: int | None) -> None:
        super().__init__(limit, queue)
        self.tokens: deque[Token] = deque()

    @property
    def idle(self) -> int:
        """Places nobody has."""
        return self.free + self.kept + len(self.tokens)

    def attend(self) -> None:
        """Look again whether something in this process attends to calls, or wants to know who holds a place.

        A call that asks in this very moment may be refused the last place, which is on its way.
        """
        super().attend()
        self.absorb()

    def take(self, hold: Hold) -> bool:
        """Take a place if one is free now."""
        while not super().take(hold):
            if not self.absorb():
                return False
        return True

    def enqueue(self, hold: Hold, wake: Callable[[], object]) -> bool:
        """Take a place if one is free by now, else join the queue; False when the queue is full."""
        lined_up = super().enqueue(hold, wake)
        self.absorb()
        return lined_up

    def lend(self) -> Token | None:
        """Make a token of a place nobody has, if there is one.

        Not of those at hand: they are the quick way to this, and a call that comes here found none.
        """
        if self.free < 1 and self.kept < 1:
            return None
        token = Token(self)
        return token if super().take(token) else None

    def absorb(self) -> bool:
        """Have no places at hand: they are free, or go to those who wait. Whether there were any."""
        any_were = False
        while self.tokens:
            try:
                token = self.tokens.pop()
            except IndexError:
                break  # another thread was quicker
            token.drop()
            any_were = True
        return any_were


if TYPE_CHECKING:
    Places = PermitQueue
    Holding = Hold
else:
    Places = PermitQueue if GIL else TokenQueue
    Holding = Hold if GIL else Token  # without a GIL no place is given back without a call, which may be interrupted
