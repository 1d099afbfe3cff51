"""What a breaker's state machine leaves to be done outside its lock: ask for a length, count, tell the listeners."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from resilix import events
from resilix.core.breaker import BreakerCore
from resilix.core.era import Change, Era
from resilix.core.settings import FALLBACK_OPEN_FOR, opening_seconds
from resilix.events import HUB

KIND: Final = "breaker"
_NONE_YET: Final[Mapping[tuple[str, str], int]] = MappingProxyType({})
"""For all breakers that never changed their state, which is most of them."""


class Announcer:
    """Announces the transitions of one breaker.

    Attributes:
        transitions: How often it went from one state to another, both by name. Replaced, never changed.
    """

    __slots__ = ("_announcing", "_core", "_name", "transitions")

    transitions: Mapping[tuple[str, str], int]

    def __init__(self, core: BreakerCore, name: str) -> None:
        self._core = core
        self._name = name
        self._announcing: threading.Lock | None = None  # made with the first change
        self.transitions = _NONE_YET

    def flush(self) -> None:
        """Tell the listeners what changed, in order and outside every lock."""
        core = self._core
        if core.era.undecided:
            self._decide_length(core.era)
        # One thread announces at a time, so that the order holds; a listener that causes a change, or another
        # thread that does, leaves it to the one that is at it.
        if not core.changes:
            return
        turn = self._turn()
        # A loop over acquire rather than a call of it: no interrupt can come in between it and the try.
        for _ in iter(partial(turn.acquire, blocking=False), False):
            try:
                change = core.next_change()
                if change is not None:
                    self._count(change)
                    if HUB.listeners:
                        self._announce(change)
            finally:
                turn.release()
            if not core.changes:
                return

    def _turn(self) -> threading.Lock:
        """The lock of whoever announces."""
        with self._core.lock:
            if self._announcing is None:
                self._announcing = threading.Lock()
            return self._announcing

    def _decide_length(self, era: Era) -> None:
        """Ask the user's ``open_for`` function how long an opening lasts; one caller does."""
        core = self._core
        if not core.claim_length(era):
            return
        settings = core.settings
        length = FALLBACK_OPEN_FOR if settings.open_for is None else settings.open_for
        try:
            if settings.open_for_function is not None:
                length = opening_seconds(settings.open_for_function, era.number)
        except Exception as broken:
            HUB.hook_failed(KIND, self._name, "open_for", broken)
        finally:
            core.set_length(era, length)

    def _count(self, change: Change) -> None:
        before, after = change.old.state, change.era.state
        if before is not after:
            step = (before.value, after.value)
            self.transitions = {**self.transitions, step: self.transitions.get(step, 0) + 1}

    def _announce(self, change: Change) -> None:
        old, era = change.old, change.era
        if old is era:
            HUB.emit(events.TripObserved(policy=KIND, name=self._name, reason=change.reason))
        elif (old.state, old.mode) != (era.state, era.mode):
            HUB.emit(
                events.Transition(
                    policy=KIND,
                    name=self._name,
                    from_state=old.state.value,
                    to_state=era.state.value,
                    mode=era.mode.value,
                    reason=change.reason,
                    opening=change.opening,
                )
            )

    def forget(self) -> None:
        """Count transitions from nothing again."""
        self.transitions = _NONE_YET

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._announcing = None
