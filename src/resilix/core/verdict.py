"""Which outcomes count: success, failure, or ignored."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tenacity import RetryCallState
from tenacity.retry import (
    retry_all,
    retry_any,
    retry_base,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_type,
)

from resilix.core.options import refuse
from resilix.errors import RejectedError

Predicate: TypeAlias = Callable[[Exception], object]
On: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Callable[[Any], object] | retry_base"
"""What names exceptions: a type, a tuple of types, a predicate, or a tenacity retry object."""

ON_EXCEPTIONS_ONLY: Final = (
    retry_if_exception,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_exception_cause_type,
    retry_if_exception_message,
)
"""Retry objects that never look at a result. Exact types: some of their subclasses do look."""

OnHookError: TypeAlias = Callable[[str, Exception], None]
"""Told the option's name and what its function raised."""


class Verdict(enum.StrEnum):
    """What an outcome means to a policy.

    Example::

        assert Verdict.IGNORED == "ignored"

    *Ignored* is neither good nor bad: cancellation, ``KeyboardInterrupt``, ``GeneratorExit``, an exception that
    nothing names, a refusal by one of our own policies. The permit goes back and nothing is counted.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Matcher:
    """Decides whether an exception is one of those an option names.

    Types are matched with ``isinstance``. A predicate is user code: whoever calls :meth:`ask` does so outside
    every lock. Only ``Exception`` can match: cancellation and its like never do.
    """

    __slots__ = ("named", "predicate", "shown", "tenacity", "types")

    def __init__(self, owner: str, option: str, on: Any) -> None:
        self.types: tuple[type[Exception], ...] = ()
        self.predicate: Callable[[Any], object] | None = None
        self.tenacity = False
        self.shown = _show(on)
        if isinstance(on, retry_base):
            self.predicate, self.tenacity = on, True
        elif isinstance(on, (type, tuple)):
            self.types = _types(owner, option, on)
        elif callable(on):
            self.predicate = on
        else:
            raise refuse(
                owner,
                option,
                on,
                "it names exceptions: a type, a tuple of types, a predicate or a tenacity retry object",
                f"write {option}=ConnectionError",
            )
        # A refusal by one of our own policies counts only where a type says so by name.
        self.named = tuple(t for t in self.types if issubclass(t, RejectedError))

    def ask(self, error: Exception, state: RetryCallState | None = None, *, own_refusals: bool = False) -> object:
        """Answer for one exception; a predicate's own value (True, False, a wait) comes back as it is.

        Args:
            error: The exception.
            state: The call state for a tenacity predicate, if there is one already.
            own_refusals: Treat refusals by our own policies like any other exception.
        """
        if not own_refusals and isinstance(error, RejectedError):
            return isinstance(error, self.named)
        if self.predicate is None:
            return isinstance(error, self.types)
        if self.tenacity:
            return self.predicate(state if state is not None else state_of(error))
        return self.predicate(error)


def state_of(error: Exception) -> RetryCallState:
    """Give a tenacity predicate the call state it expects, for a call that is not a retry's."""
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.set_exception((type(error), error, error.__traceback__))
    return state


def asks_results(on: Any) -> bool:
    """Whether a tenacity retry object looks at results too."""
    if isinstance(on, (retry_any, retry_all)):
        return any(asks_results(one) for one in on.retries)
    return type(on) not in ON_EXCEPTIONS_ONLY


def _types(owner: str, option: str, on: object) -> tuple[type[Exception], ...]:
    types: tuple[Any, ...] = (on,)
    if isinstance(on, tuple):
        types = on
    for one in types:
        if not isinstance(one, type) or not issubclass(one, BaseException):
            raise refuse(owner, option, on, f"{one!r} is not an exception type", f"write {option}=ConnectionError")
        if not issubclass(one, Exception) and option == "ignore":
            raise refuse(owner, option, on, f"{one.__name__} never counts anyway", "leave it out")
        if not issubclass(one, Exception):
            raise refuse(
                owner,
                option,
                on,
                f"{one.__name__} covers cancellation or an interrupt, which no policy may swallow or count",
                f"write {option}=Exception",
            )
    return types


def _show(on: Any) -> str:
    if isinstance(on, tuple):
        types: tuple[Any, ...] = on
        return "(" + ", ".join(_show(one) for one in types) + ")"
    return getattr(on, "__name__", None) or type(on).__name__


def refuse_async(owner: str, option: str, value: Any) -> None:
    """A coroutine function would be asked and never awaited, and what it gives back would always mean yes."""
    if isinstance(value, type):
        return  # an exception type, or a mistake that has its own message
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004
        raise refuse(owner, option, value, "it is async, and nobody awaits it here", "write it as a plain def")
    if isinstance(value, retry_base):
        for part in (getattr(value, "predicate", None), *getattr(value, "retries", ())):
            refuse_async(owner, option, part)
