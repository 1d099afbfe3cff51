"""The moment by which the current call must be over, carried in a context variable.

``used`` is False until the first deadline of the process is set, so that programs without deadlines do not pay for
looking. It is never reset: a task may outlive the block it was started in and keeps its deadline.
"""

from __future__ import annotations

import math
from contextvars import ContextVar, Token


class DeadlineState:
    """The current deadline, as a reading of the system clock.

    Attributes:
        used: True once any deadline was set in this process.
    """

    __slots__ = ("_moment", "used")

    def __init__(self) -> None:
        self.used = False
        self._moment: ContextVar[float] = ContextVar("resilix_deadline", default=math.inf)

    def narrow(self, moment: float) -> Token[float]:
        """Set the deadline, unless an earlier one holds already."""
        self.used = True
        return self._moment.set(min(moment, self._moment.get()))

    def restore(self, token: Token[float]) -> None:
        """Go back to the deadline from before :meth:`narrow`."""
        self._moment.reset(token)

    def moment(self) -> float:
        """The deadline of this context; infinite without one."""
        return self._moment.get()

    def remaining(self, now: float) -> float:
        """Seconds left at ``now``, negative when it has passed; infinite without a deadline."""
        return self._moment.get() - now


DEADLINE = DeadlineState()
"""The deadline of this process's contexts."""
