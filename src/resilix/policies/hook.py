"""The two ends of a guarded call that matter while faults are injected by name: its entry, and where the attempt runs.

At the entry the names of the policies are known; where the user's function would run, faults befall. Both do nothing
but look at one attribute while nothing is injected.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from contextvars import Token
from typing import Any

from resilix.injection import INJECTION, NAMES
from resilix.policies.functions import AnyCallable, qualified_name


def hooked(fn: AnyCallable, *, is_async: bool, serves_many: bool = False) -> AnyCallable:
    """The innermost function of a target, befallen by what is injected.

    Args:
        fn: The user's function; or what runs the function that comes first.
        is_async: Whether it is awaited.
        serves_many: Whether each call brings its own function, as the first argument.
    """

    def attempt(*args: Any, **kwargs: Any) -> Any:
        door = INJECTION.door
        if door is None:
            return fn(*args, **kwargs)
        user, given = (args[0], args[1:]) if serves_many else (fn, args)
        names = (*NAMES.get(), qualified_name(user))
        if not is_async:
            return door.run(names, user, given, kwargs)
        # Dressed up as the user's, so that a predicate finds the names of its parameters.
        through = functools.update_wrapper(functools.partial(fn, user), user) if serves_many else fn
        return door.arun(names, through, given, kwargs)

    return attempt


def shown(attempt: AnyCallable, fn: AnyCallable, *, is_async: bool) -> AnyCallable:
    """The same for a policy of the user's, which may look at the function it is handed."""

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        return await attempt(*args, **kwargs)

    alike = functools.update_wrapper(awaited if is_async else attempt, fn)
    alike.__qualname__ = qualified_name(fn)  # a partial or a callable object has none
    return alike


def entered(shell: AnyCallable, names: tuple[str, ...], *, is_async: bool) -> AnyCallable:
    """A shell that says, while something is injected, which policies are around what it runs.

    Args:
        shell: The outermost of several.
        names: Those of all the policies.
        is_async: Whether it is awaited.
    """
    if is_async:

        async def aentry(*args: Any, **kwargs: Any) -> Any:
            if INJECTION.door is None:
                return await shell(*args, **kwargs)
            return await under(names, shell(*args, **kwargs))

        return aentry

    def entry(*args: Any, **kwargs: Any) -> Any:
        if INJECTION.door is None:
            return shell(*args, **kwargs)
        token = NAMES.set((*NAMES.get(), *names))
        try:
            result = shell(*args, **kwargs)
        finally:
            _reset(token)
        if inspect.iscoroutine(result):
            return under(names, result)  # further attempts are made while it is awaited
        return result

    return entry


async def under(names: tuple[str, ...], awaitable: Any) -> Any:
    """Await something with these policies around it."""
    token = NAMES.set((*NAMES.get(), *names))
    try:
        return await awaitable
    finally:
        _reset(token)


async def apart(awaitable: Any) -> Any:
    """Await the user's own work: policies around this attempt are not around the calls it makes itself."""
    token = NAMES.set(())
    try:
        return await awaitable
    finally:
        _reset(token)


def _reset(token: Token[tuple[str, ...]]) -> None:
    with suppress(ValueError):  # a coroutine that is collected ends in whatever context
        NAMES.reset(token)
