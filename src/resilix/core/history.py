"""What became of the calls of a breaker, for good: counts that only grow, over all its eras.

Metrics need them; the rules do not. A call is counted once: as a success, a failure, ignored, or late when its outcome
came after a transition and changed nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from resilix.core.counting import Count
from resilix.core.era import Era


class Totals(NamedTuple):
    """What became of calls; never fewer than before.

    Attributes:
        success: Calls that went well.
        failure: Calls that failed, probes whose lease ran out among them.
        ignored: Calls that counted as neither.
        late: Calls whose outcome came after a transition.
    """

    success: int
    failure: int
    ignored: int
    late: int


class History(Count):
    """The counts of earlier eras; its owner holds the lock. It is the counter of their calls from then on.

    Attributes:
        n: Outcomes that came after a transition.
        edge: When this counter must be looked at because time went by: never.
    """

    __slots__ = ("_failure", "_ignored", "_success")

    def __init__(self) -> None:
        super().__init__()
        self._success = 0.0
        self._failure = 0
        self._ignored = 0

    def retire(self, era: Era) -> None:
        """An era is over. From now on its calls are counted as late ones.

        The counter is exchanged first, and then the window closed, so every success is counted in one of the two.
        """
        era.counter = self
        self._success += era.counted + era.window.close() - era.failures + era.good_probes
        self._failure += era.failures + era.bad_probes
        self._ignored += era.ignored

    def forget(self) -> None:
        """Count from nothing again; calls of eras that are over go on counting here."""
        self.reset()
        self._success = 0.0
        self._failure = 0
        self._ignored = 0

    def totals(self, era: Era) -> Totals:
        """Everything so far, the current era included."""
        success = self._success + era.counted + era.window.n - era.failures + era.good_probes
        failure = self._failure + era.failures + era.bad_probes
        return Totals(int(success), failure, self._ignored + era.ignored, int(self.n))
