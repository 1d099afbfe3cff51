"""The moment by which the current call must be over, carried in a context variable.

``used`` is False until the first deadline of the process is set, so that programs without deadlines do not pay for
looking. It is never reset: a task may outlive the block it was started in and keeps its deadline.
"""

from __future__ import annotations

import math
from contextvars import ContextVar, Token

from resilix.attention import ATTENTION


class DeadlineState:
    """The current deadline, as a reading of the system clock.

    Attributes:
        used: True once any deadline was set in this process.
        attended: Whether a timeout has to look before it begins: ``used``, or time is not the machine's for a while.
    """

    __slots__ = ("_entered", "_moment", "attended", "used")

    def __init__(self) -> None:
        self.used = False
        self.attended = False
        self._moment: ContextVar[float] = ContextVar("resilix_deadline", default=math.inf)
        self._entered: ContextVar[tuple[tuple[object, float], ...]] = ContextVar("resilix_deadlines", default=())

    def use(self) -> None:
        """Look for deadlines from now on, for the rest of the process."""
        self.used = self.attended = True
        ATTENTION.ask("deadlines", lambda: self.used)

    def attend(self, *, virtual: bool) -> None:
        """Have timeouts look while time is virtual, whether or not there are deadlines."""
        self.attended = virtual or self.used
        if self.used:  # another thread may have set the first deadline just now
            self.attended = True

    def narrow(self, moment: float, *, tell: bool = True) -> Token[float]:
        """Set the deadline, unless an earlier one holds already.

        Args:
            moment: The deadline.
            tell: The rest of the process has to look from now on. Otherwise only who looks in any case will see it.
        """
        if tell and not self.used:
            self.use()
        return self._moment.set(min(moment, self._moment.get()))

    def restore(self, token: Token[float]) -> None:
        """Go back to the deadline from before :meth:`narrow`."""
        try:
            self._moment.reset(token)
        except ValueError:
            # Narrowed in another context (a coroutine that is collected ends in whatever context): that one is
            # over, and nothing was narrowed here.
            return

    def enter(self, owner: object, moment: float) -> None:
        """Narrow until ``owner`` leaves. One owner may have entered in many contexts at once, and often in one."""
        before = self._moment.get()
        self._entered.set((*self._entered.get(), (owner, before)))
        self.narrow(moment)

    def leave(self, owner: object) -> None:
        """Go back to the deadline from before ``owner`` entered last; nothing, if it entered in another context."""
        entered = self._entered.get()
        for index in range(len(entered) - 1, -1, -1):
            known, before = entered[index]
            if known is owner:
                self._entered.set(entered[:index])
                self._moment.set(before)
                return

    def in_force(self) -> bool:
        """Whether this context has a deadline."""
        return self.used and self._moment.get() != math.inf

    def moment(self) -> float:
        """The deadline of this context; infinite without one."""
        return self._moment.get()

    def remaining(self, now: float) -> float:
        """Seconds left at ``now``, negative when it has passed; infinite without a deadline."""
        return self._moment.get() - now


DEADLINE = DeadlineState()
"""The deadline of this process's contexts."""
