"""``fallback``: answer something else when the call fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, overload

from resilix import events
from resilix.core.options import checked, refuse
from resilix.core.verdict import Matcher, On, refuse_async
from resilix.errors import ConfigurationError
from resilix.events import HUB
from resilix.policies.base import Alt, BoundPolicy
from resilix.policies.functions import (
    PLAIN,
    AnyCallable,
    is_awaitable,
    is_coroutine_function,
    promises_awaitable,
    qualified_name,
)
from resilix.policies.quiet import Quiet, with_quiet
from resilix.policies.target import Target, continue_async
from resilix.tally import TALLY

A = TypeVar("A")


class _Missing:
    def __repr__(self) -> str:
        return "(nothing)"


_MISSING: Any = _Missing()


QUIET = """
try:
    result = INNER
except Exception as error:
    if not answers(error, CALL):
        raise
    result = AWAIT answer(error, CALL)
"""
"""Nothing happens as long as nothing fails."""


class Fallback(BoundPolicy[Alt]):
    """Made by :func:`fallback`, where its options are described."""

    kind = "fallback"

    def __init__(self, value: Any, call: AnyCallable | None, handle: AnyCallable | None, on: Any) -> None:
        self._value = value
        self._call = call
        self._handle = handle
        self._matcher = Matcher("fallback", "on", on)

    def __repr__(self) -> str:
        if self._call is not None:
            what = f"call={qualified_name(self._call)}"
        elif self._handle is not None:
            what = f"handle={qualified_name(self._handle)}"
        else:
            what = type(self._value).__name__  # never the value: it may be a secret
            what = repr(self._value) if self._value is None or isinstance(self._value, bool) else f"<{what}>"
        return f"fallback({what}, on={self._matcher.shown})"

    def _bind(self, target: Target) -> AnyCallable:
        other = self._call or self._handle
        if target.is_async:
            return self._bind_async(target)
        if other is not None and is_coroutine_function(other) and not promises_awaitable(target.user):
            raise ConfigurationError(
                f"fallback: {qualified_name(other)} is a coroutine function, but the function it stands in for is "
                "not: nobody would await it; write def instead of async def, or make both async"
            )
        return self._bind_sync(target)

    def _quiet(self, target: Target, answer: AnyCallable, handed: AnyCallable | None) -> Quiet:
        names = {"answers": partial(self._answers, target), "answer": answer}
        return Quiet(QUIET, names, wants_call=self._call is not None, handed=handed)

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain = target.fn, PLAIN
        # Callers that await what comes back must be able to await the answer too.
        awaited = promises_awaitable(target.user)

        def caught(*args: Any, **kwargs: Any) -> Any:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                if not self._answers(target, error, args, kwargs):
                    raise
                return answer(error, args, kwargs)
            if type(result) not in plain and is_awaitable(result):
                return handed(result, args, kwargs)
            return result

        def answer(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if awaited:
                return self._answer_later(target, error, args, kwargs)
            try:
                answer = self._answer(target, args, kwargs, error)
            except Exception as broken:
                _chain(broken, error)
                raise
            self._served(target, args, error)
            return answer

        def handed(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            nonlocal awaited
            awaited = not target.serves_many
            return continue_async(self, target, result, args, kwargs)

        return with_quiet(caught, self._quiet(target, answer, handed))

    def _bind_async(self, target: Target) -> AnyCallable:
        fn = target.fn

        async def caught(*args: Any, **kwargs: Any) -> Any:
            try:
                return await fn(*args, **kwargs)
            except Exception as error:
                if not self._answers(target, error, args, kwargs):
                    raise
                return await self._answer_later(target, error, args, kwargs)

        return with_quiet(caught, self._quiet(target, partial(self._answer_later, target), None))

    async def _answer_later(
        self, target: Target, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            answer = self._answer(target, args, kwargs, error)
            if (self._call is not None or self._handle is not None) and is_awaitable(answer):
                answer = await answer
        except Exception as broken:
            _chain(broken, error)
            raise
        self._served(target, args, error)
        return answer

    def _answers(self, target: Target, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        try:
            return bool(self._matcher.ask(error, own_refusals=True))
        except Exception as broken:
            HUB.hook_failed(self.kind, target.label(args), "on", broken)
            return False

    def _answer(self, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Any:
        if self._call is not None:
            return self._call(*target.arguments(args), **kwargs)
        if self._handle is not None:
            return self._handle(error)
        return self._value

    def _served(self, target: Target, args: tuple[Any, ...], error: Exception) -> None:
        TALLY.add("fallbacks", target.label(args))
        if HUB.listeners:
            HUB.emit(
                events.FallbackServed(
                    policy=self.kind, name=target.label(args), error=error, error_type=type(error).__name__
                )
            )


def _chain(broken: Exception, error: Exception) -> None:
    """Keep the original visible behind what the fallback raised, unless it says itself where it comes from."""
    if broken is not error and broken.__cause__ is None:
        broken.__cause__ = error


@overload
def fallback(value: A, /, *, on: On) -> Fallback[A]: ...
@overload
def fallback(*, call: Callable[..., Awaitable[A]], on: On) -> Fallback[A]: ...
@overload
def fallback(*, call: Callable[..., A], on: On) -> Fallback[A]: ...
@overload
def fallback(*, handle: Callable[[Any], Awaitable[A]], on: On) -> Fallback[A]: ...
@overload
def fallback(*, handle: Callable[[Any], A], on: On) -> Fallback[A]: ...
@checked("fallback", "fallback(None, on=ConnectionError)", method=False)
def fallback(
    value: Any = _MISSING,
    /,
    *,
    on: On,
    call: Callable[..., Any] | None = None,
    handle: Callable[[Any], Any] | None = None,
) -> Fallback[Any]:
    """Answer with something else when the call fails with what ``on`` names; anything else passes through.

    The type survives: a function that returns ``int`` under ``fallback(None, …)`` returns ``int | None``.

    Example::

        @fallback(None, on=(RejectedError, ConnectionError))
        def price(symbol: str) -> int: ...              # callers see int | None

        @fallback(call=price_from_cache, on=ConnectionError)   # gets the original arguments
        @fallback(handle=lambda error: Stale(error), on=ConnectionError)   # gets the exception

    A fallback that raises lets its own error through, with the original as its cause. Under an ``async def``, ``call``
    and ``handle`` may be coroutine functions.

    Args:
        value: The answer. Every caller gets the same object.
        on: Which failures it answers: a type, a tuple of types, a predicate, or a tenacity retry object. Refusals by
            our own policies are seen like any other exception.
        call: Called with the original arguments; its result is the answer.
        handle: Called with the exception; its result is the answer.

    Raises:
        ConfigurationError: Not exactly one of ``value``, ``call`` and ``handle`` was given, or one is no function.
    """
    given = ["value"] if value is not _MISSING else []
    given += [name for name, one in (("call", call), ("handle", handle)) if one is not None]
    if len(given) != 1:
        what = " and ".join(given) if given else "no answer"
        raise ConfigurationError(
            f"fallback was given {what}: it needs exactly one; write fallback(None, on=…), fallback(call=fn, on=…) "
            "or fallback(handle=fn, on=…)"
        )
    for name, one in (("call", call), ("handle", handle)):
        if one is not None and not callable(one):
            raise ConfigurationError(
                f"fallback({name}={type(one).__name__}): it must be a function; to answer with a value, write "
                "fallback(value, on=…)"
            )
    refuse_async("fallback", "on", on)
    if on == ():
        raise refuse(
            "fallback", "on", on, "it names nothing, so it would never answer", "write on=ConnectionError, say"
        )
    return Fallback(value, call, handle, on)
