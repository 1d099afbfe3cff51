"""What every policy is: three members, and how a function gets wrapped."""

from __future__ import annotations

import functools
import inspect
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Never, ParamSpec, TypeVar, cast, overload

from resilix.errors import ConfigurationError, ResilixWarning
from resilix.policies.functions import (
    PLAIN,
    AnyCallable,
    is_awaitable,
    is_coroutine_function,
    qualified_name,
    unwrap_partial,
)
from resilix.policies.hazards import warnings_for
from resilix.policies.quiet import quiet_of
from resilix.policies.target import Target, await_first, continue_async, run_first
from resilix.policies.weave import WEAVE, unwoven, weave
from resilix.policies.weave_text import shape_of

P = ParamSpec("P")
R = TypeVar("R")
Alt = TypeVar("Alt", covariant=True)

MYPY = False
"""mypy reads this name as True."""


class Policy(Generic[Alt]):
    """Something that runs a function in its own way: decorate with it, or have it make a call.

    Every policy of ours is one, pipelines included. Yours is a small class with two methods; it can be stacked, put
    into a pipeline, and shows up in ``explain()``.

    Example::

        class Logged(Policy[Never]):
            def call(self, fn, /, *args, **kwargs):
                log.info("calling %s", fn.__qualname__)
                return fn(*args, **kwargs)

            async def acall(self, fn, /, *args, **kwargs):
                log.info("calling %s", fn.__qualname__)
                return await fn(*args, **kwargs)

        @Logged()
        def price(symbol: str) -> int: ...

    ``Alt`` is the type of what the policy may answer instead of the function: ``Policy[None]`` may return ``None``;
    ``Policy[Never]`` never answers by itself.
    """

    kind = "policy"
    """The kind of policy, for whoever looks at one."""

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Alt:
        """Call ``fn(*args, **kwargs)`` under this policy.

        Example::

            quotes.call(fetch, "ACME")

        Raises:
            ConfigurationError: ``fn`` is a coroutine function; await :meth:`acall` instead.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to make a sync call: define call()")

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R | Alt:
        """Await ``fn(*args, **kwargs)`` under this policy.

        Example::

            await quotes.acall(fetch, "ACME")

        Raises:
            ConfigurationError: ``fn`` returned something that cannot be awaited; use :meth:`call` instead.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to make an async call: define acall()")

    if not MYPY:
        # For pyright, which would take a function that returns Any for a coroutine function. mypy would take this
        # one for a generic function.
        @overload
        def __call__(self, fn: Callable[P, Never], /) -> Callable[P, Any]: ...

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R | Alt]]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R | Alt]: ...
    def __call__(self, fn: Any = ..., /) -> Callable[..., Any]:
        """Wrap a function, method, partial or callable object; its signature and type stay.

        Example::

            @quotes
            def price(symbol: str) -> int: ...

        Raises:
            ConfigurationError: There is nothing to wrap, or it is a class.
            TypeError: It is a generator function, which would run after the policy has finished.
        """
        wrapped: Callable[..., Any] = decorate(self, fn)
        return wrapped

    def _extend(self, target: Target) -> Target:
        """Put this policy around a target."""
        shell = self._bind(target)
        if target.levels and quiet_of(shell) is None:
            shell = self._bind(target.with_woven())
        return target.around(shell, self)

    def _bind(self, target: Target) -> AnyCallable:
        """Make the shell around a target. Ours override this; the default goes through the public methods."""
        fn = target.shown()
        if target.is_async:

            async def awaited(*args: Any, **kwargs: Any) -> Any:
                return await self.acall(fn, *args, **kwargs)

            return awaited

        def called(*args: Any, **kwargs: Any) -> Any:
            result = self.call(fn, *args, **kwargs)
            if type(result) not in PLAIN and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return called


class BoundPolicy(Policy[Alt]):
    """Base of our own policies: they say once, in ``_bind``, how a target is run."""

    built_in = True
    """Tells them from a policy of somebody's who chose the same ``kind``."""

    _sync_shell: AnyCallable | None = None
    _async_shell: AnyCallable | None = None

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Alt:
        """Call ``fn(*args, **kwargs)`` under this policy; see :meth:`Policy.call`."""
        if is_coroutine_function(fn):
            raise ConfigurationError(
                f"{self!r}.call({qualified_name(fn)}): it is a coroutine function, and call() would not await it; "
                f"write await ….acall({qualified_name(fn)}, …)"
            )
        shell = self._sync_shell
        if shell is None:
            shell = self._sync_shell = self._extend(
                Target.innermost(run_first, is_async=False, serves_many=True)
            ).callable()
        return cast("R | Alt", shell(fn, *args, **kwargs))

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R | Alt:
        """Await ``fn(*args, **kwargs)`` under this policy; see :meth:`Policy.acall`."""
        shell = self._async_shell
        if shell is None:
            shell = self._async_shell = self._extend(
                Target.innermost(await_first, is_async=True, serves_many=True)
            ).callable()
        return cast("R | Alt", await shell(fn, *args, **kwargs))


class Guard(BoundPolicy[Never]):
    """Base of our policies that never answer by themselves: what they wrap keeps its type, whatever it is."""

    if TYPE_CHECKING:

        def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]:
            """Wrap a function; see :meth:`Policy.__call__`."""
            # No overloads: when two of them match, mypy takes a function that returns Any for untyped.
            ...


# -- wrapping ------------------------------------------------------------------------------------------------


def decorate(policy: Policy[Any], fn: Any) -> Any:
    """Wrap ``fn`` with a policy; see :meth:`Policy.__call__`."""
    if isinstance(fn, (staticmethod, classmethod)):
        descriptor: Any = fn  # pyright: ignore[reportUnknownVariableType]  # what it holds is the user's
        return type(descriptor)(_wrap(policy, descriptor.__func__))
    return _wrap(policy, fn)


RECORD = "__resilix_target__"
"""Where a wrapper of ours keeps what it is made of. Others' wrappers copy it, so it says whose it is."""


def _wrap(policy: Policy[Any], fn: Any) -> Any:
    _check_wrappable(policy, fn)
    inside: tuple[Any, ...] = getattr(fn, "__resilix__", ())
    target = _made_of(fn)
    if target is None and inside:  # with a decorator of somebody's between
        target = Target(fn, is_async=is_coroutine_function(fn), inner=inside)
    elif target is None:
        target = Target.innermost(fn, is_async=is_coroutine_function(fn))
    extended = policy._extend(target)  # pyright: ignore[reportPrivateUsage]  # the seam of our own module
    wrapper = functools.update_wrapper(_wrapper(extended), fn)
    if not hasattr(fn, "__qualname__"):  # a partial or a callable object
        wrapper.__qualname__ = qualified_name(fn)
        wrapper.__name__ = wrapper.__qualname__.rpartition(".")[2]
    around = (policy, *inside)
    wrapper.__dict__["__resilix__"] = around
    if extended.levels:
        wrapper.__dict__[RECORD] = (weakref.ref(wrapper), extended)
    for text in warnings_for(around) if inside else ():
        warnings.warn(f"{qualified_name(fn)}: {text}", ResilixWarning, stacklevel=4)
    return wrapper


def _made_of(fn: Any) -> Target | None:
    """What a wrapper of ours is made of, so that the next policy becomes part of the same one."""
    known: tuple[Any, Target] | None = getattr(fn, "__dict__", {}).get(RECORD)
    return known[1] if known is not None and known[0]() is fn else None


def _wrapper(target: Target) -> AnyCallable:
    """The function that takes a user's function's place."""
    base = target.base
    if not target.levels:
        return target.entered()  # made for this function alone
    exact = base is target.user and not any(level.quiet.wants_call for level in target.levels)
    shape = shape_of(base) if exact else None
    if shape is None:
        return target.callable()
    if not WEAVE.on:
        return cast("AnyCallable", unwoven(target.entered(), base, is_async=target.is_async))
    woven = weave(target.levels, base, shape, is_async=target.is_async, names=target.names, like=base)
    return cast("AnyCallable", woven)


GENERATORS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _check_wrappable(policy: object, fn: Any) -> None:
    if fn is ...:
        raise ConfigurationError(
            f"{policy!r} was called with nothing to guard; as a decorator it stands without parentheses of its own "
            "(@quotes, not @quotes()), and elsewhere it takes the function: quotes(fetch)"
        )
    if isinstance(fn, type):
        raise ConfigurationError(
            f"{policy!r} was put on the class {fn.__name__}: it guards calls, not classes; put it on the methods"
        )
    if not callable(fn):
        raise ConfigurationError(
            f"{policy!r} was applied to {fn!r}, which cannot be called; put it on a function or a method"
        )
    if isinstance(fn, types.FunctionType) and not fn.__code__.co_flags & GENERATORS:
        return
    plain = unwrap_partial(fn)
    for candidate in (plain, getattr(plain, "__call__")):  # noqa: B004, B009 - typeshed does not know it of every object
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise TypeError(
                f"{policy!r} was put on the generator function {qualified_name(fn)}: its body runs while it is "
                "iterated, after the policy has finished, so it would not be guarded. Put the policy on a "
                "function that returns the whole result, or guard the body: with breaker.acquire(): …, "
                "or for attempt in retry(…).attempts(): with attempt: …"
            )
