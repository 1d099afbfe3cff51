"""``pipeline``: several policies as one."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Never, TypeVar, overload

from resilix.core.options import checked, flag
from resilix.errors import ConfigurationError, ResilixWarning
from resilix.policies.base import Alt, BoundPolicy, Guard, Policy
from resilix.policies.functions import AnyCallable
from resilix.policies.hazards import flatten, hazards_of, kind_of, warnings_for
from resilix.policies.target import Target

A1 = TypeVar("A1")
A2 = TypeVar("A2")
A3 = TypeVar("A3")
A4 = TypeVar("A4")
A5 = TypeVar("A5")
A6 = TypeVar("A6")

SIMULATED: Final = "resilix.testing.simulation.verdict"
"""Says what a simulation finds. It stands on a higher floor, and is loaded when somebody asks."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a pipeline can do at worst; ``str()`` of it is a short text.

    Attributes:
        order: The policies, outermost first, as text.
        attempts: The most times your function runs for one call; ``None`` when nothing bounds it.
        seconds: The longest one call may take, waits included; ``None`` when nothing bounds it. The time that a
            fallback's own function takes is not known and not in it. Sync calls end for the caller; see the hazards
            for what may still run.
        hazards: What to know before an outage, one sentence each.
        simulated: What it did to its users and to a dependency in a simulated outage and a stall, in one paragraph;
            ``None`` unless it was asked for.
    """

    order: tuple[str, ...]
    attempts: int | None
    seconds: float | None
    hazards: tuple[str, ...]
    simulated: str | None = None

    def __str__(self) -> str:
        attempts = "unbounded" if self.attempts is None else str(self.attempts)
        seconds = "unbounded" if self.seconds is None else f"{self.seconds:.4g} s"
        lines = [
            "outermost first: " + " > ".join(self.order),
            f"worst case: {attempts} attempt{'' if attempts == '1' else 's'} per call, {seconds}",
        ]
        lines += [f"hazard: {one}" for one in self.hazards] or ["no hazards found"]
        lines += [] if self.simulated is None else [self.simulated]
        return "\n".join(lines)


class Pipeline(BoundPolicy[Alt]):
    """Made by :func:`pipeline`, where its options are described."""

    kind = "pipeline"

    def __init__(self, policies: tuple[Policy[Any], ...], name: str | None) -> None:
        self.policies = policies
        self._name = name

    @property
    def name(self) -> str | None:
        """What events call the functions under it; ``None`` for their own names."""
        return self._name

    def __repr__(self) -> str:
        inside = ", ".join(repr(policy) for policy in self.policies)
        return f"pipeline({inside})" if self._name is None else f"pipeline({inside}, name={self._name!r})"

    def explain(self, *, simulate: bool = False) -> Explanation:
        """Say what one call can cost at worst, and what is dangerous about this order.

        Example::

            print(guard.explain())
            print(guard.explain(simulate=True))     # and whether it amplifies an outage, and recovers from one

        Args:
            simulate: Also simulate an outage and a stall of a dependency, with fresh copies of these policies, in a
                second or so. The clock of all policies of this process is the simulated one meanwhile, so do that in a
                test or at a prompt, not in a process that serves.

        Raises:
            ConfigurationError: ``simulate`` is neither true nor false, or cannot be done now.
        """
        asked = flag("explain", "simulate", simulate)
        attempts, seconds = _worst_case(flatten(self.policies))
        return Explanation(
            order=tuple(repr(policy) for policy in flatten(self.policies)),
            attempts=None if attempts == float("inf") else int(attempts),
            seconds=None if seconds == float("inf") else seconds,
            hazards=tuple(hazards_of(self.policies)),
            simulated=importlib.import_module(SIMULATED).paragraph(self) if asked else None,
        )

    def _bind(self, target: Target) -> AnyCallable:
        return self._extend(target).fn

    def _extend(self, target: Target) -> Target:
        inside = target.named(self._name)
        for policy in reversed(self.policies):
            inside = policy._extend(inside)  # pyright: ignore[reportPrivateUsage]  # the seam of our own module
        return inside.named_like(target, self._name)


if TYPE_CHECKING:

    class GuardPipeline(Pipeline[Never], Guard):
        """A pipeline that never answers by itself: what it wraps keeps its type, whatever it is."""


def _worst_case(flat: tuple[Any, ...]) -> tuple[float, float]:
    attempts, seconds = 1.0, float("inf")
    for policy in reversed(flat):
        kind = kind_of(policy)
        if kind == "timeout" and not policy.cooperative:
            seconds = min(seconds, policy.seconds)
        elif kind == "bulkhead":
            seconds += policy.max_wait
        elif kind == "retry":
            plan = policy.plan
            # The last attempt may begin at the very end of ``within``.
            bound = plan.within + seconds
            attempts *= plan.attempts
            seconds = min(plan.attempts * seconds + plan.longest_waits(), bound)
    return attempts, seconds


@overload
def pipeline(p1: Policy[Never], /, *policies: Policy[Never], name: str | None = None) -> GuardPipeline: ...
@overload
def pipeline(p1: Policy[A1], /, *, name: str | None = None) -> Pipeline[A1]: ...
@overload
def pipeline(p1: Policy[A1], p2: Policy[A2], /, *, name: str | None = None) -> Pipeline[A1 | A2]: ...
@overload
def pipeline(
    p1: Policy[A1], p2: Policy[A2], p3: Policy[A3], /, *, name: str | None = None
) -> Pipeline[A1 | A2 | A3]: ...
@overload
def pipeline(
    p1: Policy[A1], p2: Policy[A2], p3: Policy[A3], p4: Policy[A4], /, *, name: str | None = None
) -> Pipeline[A1 | A2 | A3 | A4]: ...
@overload
def pipeline(
    p1: Policy[A1],
    p2: Policy[A2],
    p3: Policy[A3],
    p4: Policy[A4],
    p5: Policy[A5],
    /,
    *,
    name: str | None = None,
) -> Pipeline[A1 | A2 | A3 | A4 | A5]: ...
@overload
def pipeline(
    p1: Policy[A1],
    p2: Policy[A2],
    p3: Policy[A3],
    p4: Policy[A4],
    p5: Policy[A5],
    p6: Policy[A6],
    /,
    *,
    name: str | None = None,
) -> Pipeline[A1 | A2 | A3 | A4 | A5 | A6]: ...
@overload
def pipeline(p1: Policy[A1], /, *policies: Policy[A1], name: str | None = None) -> Pipeline[A1]: ...
@checked("pipeline", "pipeline(retry(on=ConnectionError), quotes, timeout(2.0))", method=False)
def pipeline(*policies: Policy[Any], name: str | None = None) -> Pipeline[Any]:
    """Make one policy of several, outermost first; the same as stacking them as decorators, but a value.

    Example::

        guard = pipeline(
            fallback(None, on=(RejectedError, ConnectionError)),
            retry(on=ConnectionError, attempts=3),
            quotes, slots, timeout(2.0),
        )
        guard.call(fetch, "ACME")
        await guard.acall(afetch, "ACME")

        @guard
        def price(symbol: str) -> int: ...

        print(guard.explain())

    Pipelines nest. A ``ResilixWarning`` says when an order is nearly always wrong.

    Args:
        policies: At least one; any object with ``call`` and ``acall`` will do.
        name: What events and errors call the functions under it, instead of their own names.

    Raises:
        ConfigurationError: There is no policy, or something is none.
    """
    if not policies:
        raise ConfigurationError("pipeline(): it is empty and would guard nothing; write pipeline(retry(on=…), …)")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise ConfigurationError(f"pipeline(name={name!r}): a name is a text; write name='quotes', or leave it out")
    own = tuple(_as_policy(policy) for policy in policies)
    for text in warnings_for(own, all_pairs=True):
        warnings.warn(text, ResilixWarning, stacklevel=3)
    return Pipeline(own, name)


def _as_policy(policy: Any) -> Policy[Any]:
    if isinstance(policy, Policy):
        own: Policy[Any] = policy
        return own
    members = [getattr(policy, member, None) for member in ("call", "acall")]
    if all(callable(member) for member in members) and not isinstance(policy, type):
        return _Foreign(policy)
    raise ConfigurationError(f"pipeline(…, {_shown(policy)}, …): this is no policy; {_instead(policy, members)}")


def _shown(policy: Any) -> str:
    return str(policy.__name__) if callable(policy) and hasattr(policy, "__name__") else repr(policy)


def _instead(policy: Any, members: list[Any]) -> str:
    """What the author of a pipeline most likely wanted to write."""
    if isinstance(policy, (list, tuple)):
        return "write pipeline(*policies), with a star"
    if any(callable(member) for member in members) and not isinstance(policy, type):
        return "it needs both a call() and an async acall(); define the other one too"
    shown = _shown(policy)
    if isinstance(policy, type):
        return f'it is the class; make one first, once: {shown.lower()} = {shown}("quotes", …)'
    if shown in VERBS:
        return f"call it first: {VERBS[shown]}"
    if callable(policy):
        return (
            "a pipeline is made of policies and guards functions afterwards: "
            f"write @pipeline(retry(on=…), …) above {shown}"
        )
    return BLOCKS.get(type(policy).__name__, 'write retry(on=…), CircuitBreaker("quotes"), timeout(2.0), …')


VERBS = {
    "retry": "retry(on=ConnectionError)",
    "timeout": "timeout(2.0)",
    "fallback": "fallback(None, on=ConnectionError)",
    "pipeline": "pipeline(retry(on=ConnectionError), timeout(2.0))",
}


BLOCKS = {
    "RetryBudget": "hand it to the retry that pays from it: retry(on=…, budget=…)",
    "deadline": "it is a block: with deadline(2.0): …; inside a pipeline write timeout(2.0, cooperative=True)",
}


class _Foreign(Policy[Any]):
    """Somebody's object with ``call`` and ``acall`` that does not subclass ``Policy``."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def __repr__(self) -> str:
        return repr(self._policy)

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Hand the call on."""
        return self._policy.call(fn, *args, **kwargs)

    async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Hand the call on."""
        return await self._policy.acall(fn, *args, **kwargs)
