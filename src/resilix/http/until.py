"""A timeout that knows its moment, so that many short waits together end when one long wait would have."""

from __future__ import annotations

from resilix.clock import SYSTEM


class Until(float):
    """Seconds, as they were left when this was made, that also know the moment they end.

    HTTP libraries apply a timeout to each single read and write, so a server that sends a byte now and then is waited
    for without end. Whoever knows this class gives each operation :meth:`allowed` seconds instead; to anybody else it
    is a plain number.

    Example::

        until = Until(2.0, SYSTEM.now() + 2.0)
        sock.settimeout(until.allowed())

    Args:
        seconds: The longest that one operation may take. Zero: none may start.
        moment: When all of them have to be over, as ``SYSTEM.now()`` tells it; infinite for never.

    Attributes:
        moment: May be moved while operations are under way; each looks when it starts.
    """

    __slots__ = ("moment",)

    moment: float

    def __new__(cls, seconds: float, moment: float) -> Until:
        """Make the number first: a float cannot be changed later."""
        self = float.__new__(cls, seconds)
        self.moment = moment
        return self

    def __getnewargs__(self) -> tuple[float, float]:  # type: ignore[override]
        """What a copy of it is made from."""
        return float(self), self.moment

    def left(self) -> float:
        """Seconds to the moment; zero once it is over."""
        return max(0.0, self.moment - SYSTEM.now())

    def allowed(self) -> float:
        """Seconds that an operation which starts now may take; zero when it may not start."""
        left = self.moment - SYSTEM.now()
        if left <= 0.0:
            return 0.0
        return left if left < self else float(self)
