# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""Fault plans that are injected by name, into code that knows nothing of them."""

from __future__ import annotations

import inspect
import os
import warnings
from difflib import get_close_matches
from types import TracebackType
from typing import Any

from resilix.core.options import refuse
from resilix.errors import ConfigurationError, ResilixWarning
from resilix.injection import INJECTION, NAMES
from resilix.locks import RLock
from resilix.policies.budget import RetryBudget
from resilix.policies.functions import AnyCallable, is_awaitable, local_name, promises_awaitable
from resilix.policies.hook import apart
from resilix.policies.registry import REGISTRY
from resilix.policies.weave_shut import SHUTTER
from resilix.runtime import loop_runs
from resilix.testing.plan_kinds import Ok, plan_of
from resilix.testing.plans import Plan
from resilix.testing.switch import demand


class _Changing:
    """Held while the door is opened or shut: one for all."""

    lock = RLock()


def _after_fork() -> None:
    _Changing.lock = RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Injected:
    """Made by :func:`inject`, where it is described. One block each."""

    def __init__(self, name: str, plan: Plan) -> None:
        self.name = name
        self.plan = plan
        self.met = False
        self._under_way = False
        self._tried = False

    def __repr__(self) -> str:
        return _written(self.name, self.plan)

    def __del__(self) -> None:
        if not self._tried:
            warnings.warn(f"{self!r}: its block was never begun; write with {self!r}: …", ResilixWarning, stacklevel=2)

    def __enter__(self) -> Plan:
        self._tried = True
        demand(repr(self))
        with _Changing.lock:
            if self._under_way:
                raise ConfigurationError(f"{self!r}: its block is running already; make another one: faults.inject(…)")
            self._under_way, self.met = True, False
            self.plan._begin()
            _change((self, *_current()))
        return self.plan

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _Changing.lock:
            self._under_way = False
            _change(tuple(one for one in _current() if one is not self))
        self.plan.release()
        mistake = self.plan._misused if self.met else self._unknown()
        if not mistake or isinstance(error, ConfigurationError):
            return  # which says it itself
        if error is None:
            warnings.warn(mistake, ResilixWarning, stacklevel=2)
        else:
            error.add_note(f"resilix: {mistake}")

    def _unknown(self) -> str:
        """What is wrong with a name that met no call; a misspelt one would make a test pass that has tried nothing."""
        live = REGISTRY.live()
        budgets = {one.name for one in live if isinstance(one, RetryBudget)}
        known = {one.name for one in live if not isinstance(one, RetryBudget)} | SHUTTER.names()
        known |= {name for one in REGISTRY.counted() if isinstance(name := getattr(one, "name", None), str)}
        known |= {local_name(one) for one in known}
        if self.name in known:
            return ""  # its breaker refused everything, say
        if self.name in budgets:
            return f"{self!r} met no call: the name is that of a RetryBudget, and calls run under none"
        near = get_close_matches(self.name, sorted(known), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{self!r} met no call, and no policy or function is known by that name{hint}"


def _written(name: str, plan: Plan) -> str:
    return f"faults.inject({name!r}, {plan!r})"


class NameDoor:
    """What an attempt goes through while something is injected.

    Args:
        injected: The newest first.
    """

    def __init__(self, injected: tuple[Injected, ...]) -> None:
        self.injected = injected

    def plans(self, names: tuple[str, ...]) -> list[tuple[str, Plan]]:
        """The plans for these names."""
        found: list[tuple[str, Plan]] = []
        known = {*names, *map(local_name, names)}
        for one in self.injected:
            if one.name in known:
                one.met = True
                found.append((one.name, one.plan))
        return found

    def run(self, names: tuple[str, ...], fn: AnyCallable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Let the plans for these names befall a call, then make it."""
        if promises_awaitable(fn) and loop_runs():
            return self.arun(names, fn, args, kwargs)  # whatever takes time must not block the loop
        for name, plan in self.plans(names):
            fate = plan._meet(name, names[-1], args, kwargs, None, fn)
            if fate is not None:
                fate.befall()
        token = NAMES.set(())
        try:
            result = fn(*args, **kwargs)
        finally:
            NAMES.reset(token)
        return apart(result) if inspect.iscoroutine(result) else result

    async def arun(self, names: tuple[str, ...], fn: AnyCallable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same, async."""
        for name, plan in self.plans(names):
            fate = plan._meet(name, names[-1], args, kwargs, None, fn)
            if fate is not None:
                await fate.abefall()
        result = fn(*args, **kwargs)
        return await apart(result) if is_awaitable(result) else result


def _current() -> tuple[Injected, ...]:
    door = INJECTION.door
    return door.injected if isinstance(door, NameDoor) else ()


def _change(injected: tuple[Injected, ...]) -> None:
    INJECTION.set(NameDoor(injected) if injected else None)


def inject(name: str, plan: Any) -> Injected:
    """Have a plan befall every attempt of the calls under any policy called ``name``, wherever they are made.

    Example::

        with faults.inject("quotes", faults.sequence(ConnectionError, faults.ok)) as plan:
            assert price("ACME") == 4217
        assert plan.counts.calls == 2, str(plan)

    The name is that of a breaker or a bulkhead, of a pipeline, of ``standard(…)``, or the qualified name of a guarded
    function; for one defined in a test the part after ``<locals>.`` is enough. The plan befalls once for each attempt,
    innermost: where your function would run, or where a request would leave. Functions that were decorated long before
    are included, all threads and event loops too; blocks guarded by hand (``acquire()``, ``attempts()``) are not,
    because there is no function to stand in for. Calls that your function makes itself under further policies are calls
    of their own.

    Blocks nest. Where several plans are for one attempt the newest befalls first, and what it lets pass is for the
    next. When the block ends, attempts under way end as was decided for them; those that hang are let go. A block that
    met no call, under a name that nothing has, warns, or adds a note to the error that ends it; one that was never
    begun warns too.

    Args:
        name: As above.
        plan: A plan, an exception or an HTTP status. ``faults.ok`` only watches.

    Returns:
        A context manager that gives the plan.

    Raises:
        ConfigurationError: ``name`` is no name or ``plan`` no plan; or faults are switched off, see ``enabled``.
    """
    if not isinstance(name, str) or not name.strip():
        raise refuse(
            "faults.inject", "name", name, "it is the name of a policy or a function", 'write inject("quotes", …)'
        )
    chosen = plan_of("faults.inject", "plan", plan)
    # ``faults.ok`` is everybody's, and who injects it wants to know what came.
    chosen = Ok() if type(chosen) is Ok else chosen
    demand(_written(name, chosen))
    return Injected(name, chosen)
