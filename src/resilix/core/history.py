"""What became of the calls of a breaker, for good: counts that only grow, over all its eras.

Metrics need them; the rules do not. A call is counted once: as a success, a failure, ignored, or late when its outcome
came after a transition and changed nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from resilix.core.era import Era

RETIRED: Final = 4
"""How many earlier eras are looked at again for calls that counted themselves a moment too late."""


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


def totals_of(era: Era) -> Totals:
    """What became of the calls of one era so far."""
    calls = era.counted + era.window.n
    return Totals(calls - era.failures + era.good_probes, era.failures + era.bad_probes, era.ignored, 0)


class History:
    """The counts of earlier eras; its owner holds the lock.

    Attributes:
        late: Outcomes that came after a transition.
    """

    __slots__ = ("_past", "_retired", "late")

    def __init__(self) -> None:
        self.late = 0
        self._past = Totals(0, 0, 0, 0)
        self._retired: tuple[tuple[Era, Totals], ...] = ()

    def retire(self, era: Era) -> None:
        """An era is over. From now on its calls are counted under the lock, as late ones."""
        era.watch = True
        done, past = totals_of(era), self._past
        self._past = Totals(past.success + done.success, past.failure + done.failure, past.ignored + done.ignored, 0)
        kept = self._retired[1:] if len(self._retired) >= RETIRED else self._retired
        self._retired = (*kept, (era, done))

    def totals(self, era: Era) -> Totals:
        """Everything so far, the current era included."""
        now, past = totals_of(era), self._past
        # On the quiet path a thread may have looked at its era before that was over, and counted afterwards.
        slipped = sum(totals_of(old).success - done.success for old, done in self._retired)
        return Totals(
            past.success + now.success + slipped, past.failure + now.failure, past.ignored + now.ignored, self.late
        )
