"""What can be known about a function before it is called: its name, and whether there is something to await."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable
from typing import Any, get_origin

AnyCallable = Callable[..., Any]


def unwrap_partial(fn: Any) -> Any:
    """What a partial calls in the end."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def qualified_name(fn: object) -> str:
    """The qualified name of a function, through partials and callable objects."""
    fn = unwrap_partial(fn)
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def local_name(name: str) -> str:
    """A qualified name without the functions around it: how it is called where it was written."""
    return name.rpartition("<locals>.")[2]


def is_coroutine_function(fn: Any) -> bool:
    """Whether calling ``fn`` gives a coroutine: also through partials, bound methods and callable objects."""
    plain = getattr(fn, "__func__", fn)
    if isinstance(plain, types.FunctionType) and not plain.__dict__:
        return bool(plain.__code__.co_flags & inspect.CO_COROUTINE)  # a tenth of what inspect takes
    fn = unwrap_partial(fn)
    if isinstance(fn, type):
        return False  # calling it makes an instance
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


# -- sync functions that hand back an awaitable -------------------------------------------------------------------

PLAIN: set[type] = {type(None), bool, int, float, str, bytes, list, dict, tuple, set}
"""Result types seen so far that cannot be awaited, so that the question is asked once per type."""
_MOST_PLAIN = 512


def is_awaitable(result: object) -> bool:
    """Whether a sync function's result is work still to be awaited; remembers the types that are not."""
    kind = type(result)
    if hasattr(kind, "__await__") or (
        isinstance(result, types.GeneratorType) and result.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE
    ):
        return True
    if len(PLAIN) < _MOST_PLAIN and kind is not types.GeneratorType:
        PLAIN.add(kind)
    return False


AWAITABLE = ("Awaitable", "Coroutine", "CoroutineType", "Future", "Task")
"""What an annotation that is text may say without its name being known where the function was written."""


def promises_awaitable(fn: Any) -> bool:
    """Whether a sync function is annotated to hand back something to await. Never raises."""
    try:
        # A wrapper of ours around a partial has no annotations of its own.
        fn = unwrap_partial(inspect.unwrap(fn))
        plain: Any = fn if inspect.isroutine(fn) else type(fn).__call__
        returned: Any = plain.__annotations__.get("return")
        if isinstance(returned, str):
            returned = _named(returned, plain)
        return hasattr(get_origin(returned) or returned, "__await__")
    except Exception:  # it has none, or they cannot be evaluated
        return False


def _named(text: str, fn: Any) -> Any:
    """What an annotation written as text names, as far as that can be known without evaluating it."""
    name = text.strip("'\"").partition("[")[0]
    first, *rest = name.split(".")
    try:
        found = fn.__globals__[first]
        for one in rest:
            found = getattr(found, one)
    except (AttributeError, KeyError):  # imported for the type checker only, say
        return Awaitable if name.rpartition(".")[2] in AWAITABLE else None
    return found
