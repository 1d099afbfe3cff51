"""What a policy is put around: a function, or one with policies around it already."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from resilix.errors import ConfigurationError
from resilix.policies.functions import AnyCallable, is_awaitable, qualified_name
from resilix.policies.hook import entered, hooked, shown
from resilix.policies.outcomes import Outcomes
from resilix.policies.quiet import quiet_of
from resilix.policies.weave import WEAVE, Level, weave
from resilix.policies.weave_text import GENERIC, MANY, MANY_THROUGH

if TYPE_CHECKING:
    from resilix.policies.base import Policy


class Target:
    """A function about to be wrapped, and what to call it.

    Attributes:
        user: The user's function, as far as it is known when it is wrapped.
        fn: The function, or the shell of the next policy inwards.
        is_async: Whether it is awaited.
        inner: The policies already inside, outermost first.
        serves_many: Whether each call brings its own function, as the first argument.
        outcomes: What its maker knows about its outcomes, for a retry around it; ``None`` for an ordinary function.
        levels: The outermost policies inside, as far as they can be woven into one function; outermost first.
        base: What the innermost of these calls.
        names: Those of the policies inside, for faults that are injected by name; without what ``fn`` says itself.
    """

    __slots__ = ("_label", "base", "fn", "inner", "is_async", "levels", "names", "outcomes", "serves_many", "user")

    def __init__(
        self,
        fn: AnyCallable,
        *,
        is_async: bool,
        label: str | None = None,
        serves_many: bool = False,
        inner: tuple[Any, ...] = (),
        user: AnyCallable | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        self.fn = fn
        self.is_async = is_async
        self.inner = inner
        self._label = label
        self.serves_many = serves_many
        self.user = fn if user is None else user
        self.outcomes = outcomes
        self.levels: tuple[Level, ...] = ()
        self.base = fn
        self.names: tuple[str, ...] = ()

    @classmethod
    def innermost(cls, fn: AnyCallable, *, is_async: bool, serves_many: bool = False) -> Target:
        """A function that no policy of ours is around yet: here faults befall, if they are injected."""
        target = cls(fn, is_async=is_async, serves_many=serves_many)
        target.fn = hooked(fn, is_async=is_async, serves_many=serves_many)
        return target

    def label(self, args: tuple[Any, ...]) -> str:
        """What events and errors call this function: the pipeline's name, else its qualified name."""
        if self._label is not None:
            return self._label
        return qualified_name(self.function(args))

    def arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments the user's function was called with."""
        return args[1:] if self.serves_many else args

    def function(self, args: tuple[Any, ...]) -> AnyCallable:
        """The user's function, as far as it can be seen from here."""
        chosen: AnyCallable = args[0] if self.serves_many and args else self.user
        return chosen

    def around(self, shell: AnyCallable, policy: Policy[Any]) -> Target:
        """The same target with one more policy around it."""
        quiet = quiet_of(shell)
        wider = self._copy(shell, self.is_async, self._label, (policy, *self.inner))
        if quiet is not None:
            handed = quiet.handed or partial(continue_async, policy, self)
            wider.levels = (Level(shell, quiet, handed), *self.levels)
            wider.base = self.base
        name = getattr(policy, "name", None) if getattr(policy, "built_in", False) is True else None
        wider.names = (name, *self.names) if isinstance(name, str) else self.names
        return wider

    def named(self, label: str | None) -> Target:
        """The same target under another name."""
        renamed = self._copy(self.fn, self.is_async, label or self._label, self.inner)
        renamed.levels, renamed.base, renamed.names = self.levels, self.base, self.names
        return renamed

    def named_like(self, other: Target, inside: str | None) -> Target:
        """The same target under the name that another has, with a pipeline called ``inside`` in it."""
        renamed = self.named(None)
        renamed._label = other._label
        if inside is not None:
            renamed.names = (inside, *self.names)
        return renamed

    def awaited(self, fn: AnyCallable) -> Target:
        """The same target as an async function."""
        return self._copy(fn, True, self._label, self.inner)

    def callable(self) -> AnyCallable:
        """What policies further out call, with whatever arguments: woven, where that is possible."""
        if not (self.levels and WEAVE.on):
            return self.entered()
        shape = GENERIC
        if self.serves_many:
            shape = MANY if self.base is run_first else MANY_THROUGH
        woven: AnyCallable = weave(self.levels, self.base, shape, is_async=self.is_async, names=self.names)
        return woven

    def entered(self) -> AnyCallable:
        """The same, not woven."""
        return entered(self.fn, self.names, is_async=self.is_async) if self.names else self.fn

    def shown(self) -> AnyCallable:
        """What a policy of the user's is handed to call."""
        if self.fn is self.base or self.inner:
            return self.fn
        return shown(self.fn, self.base, is_async=self.is_async)

    def with_woven(self) -> Target:
        """The same target, for a policy that has no quiet case: what is inside is called as one function."""
        return self._copy(self.callable(), self.is_async, self._label, self.inner)

    def _copy(self, fn: AnyCallable, is_async: bool, label: str | None, inner: tuple[Any, ...]) -> Target:
        # From further out only our shells would be seen.
        return Target(
            fn,
            is_async=is_async,
            label=label,
            serves_many=self.serves_many,
            inner=inner,
            user=self.user,
            outcomes=self.outcomes,
        )


# -- functions that a call brings along ------------------------------------------------------------------------------


def run_first(fn: AnyCallable, /, *args: Any, **kwargs: Any) -> Any:
    """Call the function that comes first."""
    return fn(*args, **kwargs)


async def await_first(fn: AnyCallable, /, *args: Any, **kwargs: Any) -> Any:
    """Await the function that comes first."""
    awaitable: Any = fn(*args, **kwargs)
    if not hasattr(awaitable, "__await__"):
        raise ConfigurationError(
            f"acall({qualified_name(fn)}): it returned {type(awaitable).__name__}, which cannot be awaited; "
            f"write call({qualified_name(fn)}, …) without await"
        )
    return await awaitable


# -- sync functions that hand back an awaitable -------------------------------------------------------------------


async def continue_async(
    policy: Policy[Any], target: Target, awaitable: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Guard what a sync function handed back: the same policy, async from here on.

    The first attempt awaits what is there already; a further one calls the function again.
    """
    first = [awaitable]

    async def attempt(*args: Any, **kwargs: Any) -> Any:
        result = first.pop() if first else target.fn(*args, **kwargs)
        return await result if is_awaitable(result) else result

    shell = policy._bind(target.awaited(attempt))  # pyright: ignore[reportPrivateUsage]  # as in _wrap
    try:
        return await shell(*args, **kwargs)
    finally:
        for refused in first:
            # A coroutine that never ran, or a task that runs already and would go on unwatched.
            end = getattr(refused, "close", None) or getattr(refused, "cancel", None)
            if end is not None:
                end()
