# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""The kinds of fault plans that are not made of others; ``faults.py`` has the functions that make them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from resilix.core import options
from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.policies.fates import ERROR, HANG, STATUS, Fault
from resilix.policies.functions import qualified_name
from resilix.testing.durations import Duration
from resilix.testing.plan_records import PASS, Decision, Occasion, plan_for
from resilix.testing.plans import Plan

TEXT: Final = "injected by a fault plan"
"""What an injected exception says, unless it was given as an instance."""


class Ok(Plan):
    """Lets every call pass."""

    def __init__(self) -> None:
        super().__init__("faults.ok")

    def _decide(self, occasion: Occasion) -> Decision:
        """Nothing befalls it."""
        return PASS


class Always(Plan):
    """The same fault for every call."""

    def __init__(self, text: str, fault: Fault) -> None:
        super().__init__(text)
        self._bare = fault.kind != HANG and fault.retry_after is None
        self._decision = Decision(0.0, fault)

    def _decide(self, occasion: Occasion) -> Decision:
        """It never hesitates."""
        return self._decision

    def _brief(self) -> str:
        """As it may be written there: ``503`` for ``faults.status(503)``."""
        fault = self._decision.fault
        return fault.text if self._bare and fault is not None else super()._brief()


class Chance:
    """Draws for a plan: from a generator of its own, or from that of ``random``, which ``virtual_time`` can seed."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._own = None if seed is None else random.Random(seed)

    def start_over(self) -> None:
        """The same draws once more."""
        self._own = None if self._seed is None else random.Random(self._seed)

    def draw(self) -> random.Random:
        """A generator for one call. No code of the user's runs while it is made."""
        return random.Random((self._own or random).getrandbits(64))

    def shown(self) -> str:
        """How it was written."""
        return "" if self._seed is None else f", seed={self._seed}"


class InOrder(Plan):
    """One outcome for each call, in order."""

    def __init__(self, entries: Sequence[Plan], then: Plan, *, repeat: bool) -> None:
        inside = [one._brief() for one in entries]
        if repeat:
            inside.append("repeat=True")
        elif not isinstance(then, Ok):
            inside.append(f"then={then._brief()}")
        super().__init__(f"faults.sequence({', '.join(inside)})", *entries, then)
        self._entries, self._then, self._repeat = tuple(entries), then, repeat
        self._next = 0

    def _decide(self, occasion: Occasion) -> Decision:
        """Whoever comes next gets the next one."""
        with self._lock:
            index = self._next
            self._next += 1
        if self._repeat:
            index %= len(self._entries)
        return (self._entries[index] if index < len(self._entries) else self._then)._consult(occasion)

    def _renew(self) -> None:
        super()._renew()
        with self._lock:
            self._next = 0


class Rate(Plan):
    """A fault for a share of the calls."""

    def __init__(self, share: float, chance: Chance, fault: Plan) -> None:
        text = f"faults.rate({share:g}{chance.shown()}, fault={fault._brief()})"
        super().__init__(text, fault)
        self._share, self._chance = share, chance

    def _decide(self, occasion: Occasion) -> Decision:
        """By lot."""
        with self._lock:
            drawn = self._chance.draw()
        return self._parts[0]._consult(occasion) if drawn.random() < self._share else PASS

    def _renew(self) -> None:
        super()._renew()
        with self._lock:
            self._chance.start_over()


class Latency(Plan):
    """A wait before each call."""

    def __init__(self, duration: Duration, chance: Chance) -> None:
        super().__init__(f"faults.latency({duration!r}{chance.shown()})")
        self._duration, self._chance = duration, chance

    def _decide(self, occasion: Occasion) -> Decision:
        """As long as the distribution says; never less than nothing."""
        with self._lock:
            drawn = self._chance.draw()
        return Decision(max(0.0, self._duration.draw(drawn)))

    def _renew(self) -> None:
        super()._renew()
        with self._lock:
            self._chance.start_over()


def plan_of(owner: str, option: str, value: Any) -> Plan:
    """Read what may stand for a plan: an exception, a status, or a plan.

    Raises:
        ConfigurationError: It is none of them.
    """
    if isinstance(value, Plan):
        return value
    if isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException)):
        return error_plan(owner, option, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return status_plan(owner, option, value, None)
    instead = "write ConnectionError, 503, faults.ok or another plan"
    meant = plan_for(value)
    if meant:
        instead = f"write {meant}"
    elif isinstance(value, (list, tuple)):
        instead = "write faults.sequence(*…) for several, one for each call"
    elif callable(value):
        instead = "for a function that makes exceptions write faults.error(…)"
    raise refuse(owner, option, value, "it is no fault: an exception, an HTTP status, or a plan", instead)


def status_plan(owner: str, option: str, status: int, retry_after: int | None) -> Plan:
    """Answer every request with a status."""
    options.whole(owner, option, status, least=200, most=599, why="it is the status of an answer, 200 to 599")
    later = "" if retry_after is None else f", retry_after={retry_after}"
    return Always(f"faults.status({status}{later})", Fault(STATUS, str(status), None, status, retry_after))


def error_plan(owner: str, option: str, error: Any) -> Plan:
    """Raise in place of every call."""
    make, name = _maker(owner, option, error)
    return Always(f"faults.error({name})", Fault(ERROR, name, make))


def _maker(owner: str, option: str, error: Any) -> tuple[Callable[[], BaseException], str]:
    if isinstance(error, BaseException):
        return _copies(owner, option, error), type(error).__name__
    if isinstance(error, type):
        if not issubclass(error, BaseException):
            raise refuse(owner, option, error, "it is no exception", f"write {option}=ConnectionError, say")
        return _instances(owner, option, error), error.__name__
    if isinstance(error, Plan):
        raise refuse(owner, option, error, f"{error!r} is a plan already", f"write {error!r} alone")
    if not callable(error):
        meant = plan_for(error) or "ConnectionError, or lambda: ConnectionError(…)"
        raise refuse(owner, option, error, "it must be an exception, or a function that makes one", f"write {meant}")
    name = qualified_name(error).rpartition(".")[2]

    def made() -> BaseException:
        one: object = error()
        if not isinstance(one, BaseException):
            raise refuse(owner, option, error, f"it gave {one!r}, and it must give an exception", "return one")
        return one

    return made, name


def _instances(owner: str, option: str, kind: type[BaseException]) -> Callable[[], BaseException]:
    """A fresh instance of a class each time; with a text, if it takes one."""
    for args in ((TEXT,), ()):
        try:
            kind(*args)
        except Exception:
            continue
        return lambda: kind(*args)
    raise refuse(
        owner,
        option,
        kind,
        "it cannot be made without arguments of its own",
        f"write faults.error(lambda: {kind.__name__}(…))",
    )


def _copies(owner: str, option: str, error: BaseException) -> Callable[[], BaseException]:
    """A fresh copy of an instance each time: one that is raised twice would gather tracebacks and notes."""

    def copied() -> BaseException:
        one = copy.copy(error)
        if one is error or type(one) is not type(error):
            raise ConfigurationError("not copied")
        if hasattr(one, "__notes__"):
            one.__notes__ = list(one.__notes__)  # a retry adds to them
        return one.with_traceback(None)

    try:
        copied()
    except Exception as why:
        raise refuse(
            owner, option, error, "it cannot be copied for each raise", "write faults.error(lambda: …), which makes one"
        ) from why
    return copied
