# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""The one switch without which no fault is ever injected."""

from __future__ import annotations

import os
import weakref
from types import TracebackType
from typing import Final, Protocol, Self

from resilix import events
from resilix.errors import ConfigurationError
from resilix.events import HUB
from resilix.injection import INJECTION
from resilix.locks import RLock

ENVIRONMENT: Final = "RESILIX_FAULTS"
HOW: Final = f"write with faults.enabled(): around it, or set {ENVIRONMENT}=1 in the environment"
POLICY: Final = "faults"


class Releasable(Protocol):
    """A plan, whose hanging calls can be let go."""

    def release(self) -> None:
        """Let them go."""

    def _renew(self) -> None:
        """Start over, without letting anybody go."""

    def _after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held its lock."""


class Switch:
    """Whether faults may be injected in this process.

    Attributes:
        turns: How often it went on; what a plan counts from the time it is in force starts anew each time.
        plans: The plans there are.
    """

    def __init__(self, setting: str) -> None:
        self._blocks = 0
        self._by_environment = setting.strip().lower() in ("1", "on", "true", "yes")
        self._to_be_told = self._by_environment
        self._lock = RLock()
        self.turns = 0
        self.plans: weakref.WeakSet[Releasable] = weakref.WeakSet()
        INJECTION.enabled = self._by_environment

    def on(self) -> bool:
        """Whether it is on; says so to the listeners, where nobody could hear of it before."""
        if self._to_be_told and HUB.listeners:
            with self._lock:
                mine, self._to_be_told = self._to_be_told, False
            if mine:
                _tell(ENVIRONMENT, on=True)
        return INJECTION.enabled

    def add(self, plan: Releasable) -> None:
        """One more plan was made."""
        with self._lock:
            self.plans.add(plan)

    def enter(self) -> None:
        """A block begins."""
        with self._lock:
            self._blocks += 1
            changed = not INJECTION.enabled
            if changed:
                self.turns += 1
                INJECTION.enabled = True
        if changed:
            _tell("enabled()", on=True)

    def leave(self) -> None:
        """A block ends; after the last one nobody hangs any more."""
        with self._lock:
            self._blocks -= 1
            last = self._blocks == 0
            if last:
                INJECTION.enabled = self._by_environment
            plans = list(self.plans) if last else []
        for plan in plans:
            plan.release()
        if last and not self._by_environment:
            _tell("enabled()", on=False)

    def renew(self) -> None:
        """Have all plans start over."""
        with self._lock:
            plans = list(self.plans)
        for plan in plans:
            plan._renew()

    def after_fork(self) -> None:
        """In a forked child: locks may have been held."""
        self._lock = RLock()
        for plan in list(self.plans):
            plan._after_fork()


def _tell(how: str, *, on: bool) -> None:
    if HUB.listeners:
        HUB.emit(events.FaultsSwitched(policy=POLICY, name=how, on=on))


SWITCH: Final = Switch(os.environ.get(ENVIRONMENT, ""))
"""The switch of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SWITCH.after_fork)


class Enabled:
    """Made by :func:`enabled`, where it is described."""

    __slots__ = ("_entered",)

    def __init__(self) -> None:
        self._entered = 0

    def __enter__(self) -> Self:
        self._entered += 1
        SWITCH.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._entered == 0:
            # Counted off once too often, a later block would never switch them off again.
            raise ConfigurationError("faults.enabled(): its block is not running; write with faults.enabled(): …")
        self._entered -= 1
        SWITCH.leave()


def enabled() -> Enabled:
    """Switch faults on inside the block, for the whole process: all threads, all event loops.

    Example::

        with faults.enabled(), faults.inject("quotes", faults.outage(seconds=30)):
            ...

    Without it, or ``RESILIX_FAULTS=1`` in the environment, no fault is ever injected: a plan that stands in a pipeline
    lets calls through, and ``inject`` refuses. Blocks nest. When the last one ends, calls that hang are let go.
    """
    return Enabled()


def demand(owner: str) -> None:
    """Refuse what makes no sense while the switch is off.

    Raises:
        ConfigurationError: It is off.
    """
    if not SWITCH.on():
        raise ConfigurationError(
            f"{owner}: faults are switched off in this process, so that none can reach production by accident; {HOW}"
        )
