"""Functions of every sort to be guarded: written with random parameters, and called with right and wrong arguments."""

from __future__ import annotations

import functools
import inspect
import operator
import random
from collections.abc import Awaitable, Callable
from typing import Any

Body = Callable[[str, dict[str, Any]], Any]
"""What every function here does: told its name and what its parameters hold."""
Guard = Callable[[Any], Any]
"""Puts policies around a function, as decorators or in calls."""

PARAMETERS = (
    "",
    "symbol",
    "symbol, count=2",
    "symbol, /, count=DEFAULT",
    "a, b=1, /, c=2, *, d=3, e=4",
    "symbol, *, type, error=None",
    "*args, **kwargs",
    "first, *args, key=DEFAULT, **kwargs",
    "type, result=1, *, error=None, INNER=2, **kwargs",
    "era, core=0, places=None, free=0, look=1, queue=2",
    "args, kwargs=1, *PLAIN, AWAIT=2",
    "_rx_fn, _rx_result=1, *, _rx0_shell=3, p0=4, p1=5",
    "fn, policy=1, shell=2, DONE=3, CALL=4",
    "p1, p0=1, *p2, p4=2, **p3",
)
"""Names that the weaver uses itself among them."""
DEFAULT = ["a default, one and the same object"]


def written(parameters: str, body: Body, *, is_async: bool) -> Any:
    """A function with these parameters, from source."""
    begin, wait = ("async ", "await ") if is_async else ("", "")
    text = f"{begin}def quote({parameters}):\n    return {wait}BODY('quote', locals())\n"
    namespace: dict[str, Any] = {"BODY": body, "DEFAULT": DEFAULT}
    exec(text, namespace)
    return namespace["quote"]


@functools.cache
def signature(parameters: str) -> inspect.Signature:
    """What these parameters take."""
    return inspect.signature(written(parameters, lambda name, seen: None, is_async=False))


def arguments(dice: random.Random, parameters: str, *, right: bool = False) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments that fit these parameters, in most cases."""
    known = signature(parameters).parameters.values()
    by_position = [one for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = [one for one in known if one.kind is one.KEYWORD_ONLY]
    least = sum(one.default is one.empty for one in by_position)
    count = dice.randint(least, len(by_position))
    if any(one.kind is one.VAR_POSITIONAL for one in known) and count == len(by_position):
        count += dice.choice([0, 2])
    args = [10 + number for number in range(count)]
    kwargs = {one.name: f"by name {one.name}" for one in by_name if one.default is one.empty or dice.random() < 0.7}
    late = [one for one in by_position[:count] if one.kind is one.POSITIONAL_OR_KEYWORD]
    if late and count <= len(by_position) and late[-1] is by_position[count - 1] and dice.random() < 0.3:
        kwargs[late[-1].name] = args.pop()
    if dice.random() < 0.15 and not right:
        wrong = dice.choice(["more", "fewer", "unknown", "twice"])
        if wrong == "more":
            args += [98, 99, 100]
        elif wrong == "fewer":
            args, kwargs = args[:-1], {}
        else:
            kwargs["unknown" if wrong == "unknown" or not by_position else by_position[0].name] = "wrong"
    return tuple(args), kwargs


# -- sorts of functions ------------------------------------------------------------------------------------------


class Service:
    """What methods are bound to."""

    def __repr__(self) -> str:
        return "service"


def as_function(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    return guard(written(parameters, body, is_async=is_async))


def as_method(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    fn = written(_with("this", parameters), body, is_async=is_async)
    return type("Sub", (Service,), {"quote": guard(fn)})().quote


def as_bound_method(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    fn = written(_with("this", parameters), body, is_async=is_async)
    return guard(fn.__get__(Service()))


def as_classmethod(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    fn = written(_with("kind", parameters), body, is_async=is_async)
    return type("Sub", (Service,), {"quote": guard(classmethod(fn))})().quote


def as_staticmethod(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    fn = written(parameters, body, is_async=is_async)
    return type("Sub", (Service,), {"quote": guard(staticmethod(fn))}).quote


def as_partial(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    return guard(functools.partial(written(_with("bound", parameters), body, is_async=is_async), "bound"))


def as_object(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    fn = written(_with("this", parameters), body, is_async=is_async)
    return guard(type("Caller", (Service,), {"__call__": fn})())


def as_lambda(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    """Async, it is a plain function that always hands back something to await."""
    return guard(lambda *args, **kwargs: body("lambda", {"args": args, "kwargs": kwargs}))


def as_builtin(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    """Written in C, and without a signature; async, it hands back something to await."""

    class Callee:
        def quote(self, *args: Any, **kwargs: Any) -> Any:
            return body("builtin", {"args": args, "kwargs": kwargs})

    caller, callee = operator.methodcaller("quote", 1, key=2), Callee()
    guarded = guard(caller)
    return lambda *args, **kwargs: guarded(callee, **kwargs)


def as_foreign(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    """Under somebody else's decorator already."""
    fn = written(parameters, body, is_async=is_async)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return guard(wrapped)


def sometimes_awaitable(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    """A plain function that hands back something to await, every other time."""
    turns = iter(range(10**6))

    def either(name: str, seen: dict[str, Any]) -> Any:
        result = body(name, seen)
        return result if next(turns) % 2 or not isinstance(result, Awaitable) else _given_up(result)

    return guard(written(parameters, either, is_async=False))


def _given_up(result: Any) -> str:
    result.close()
    return "at once"


def always_awaitable(parameters: str, body: Body, guard: Guard, *, is_async: bool) -> Any:
    """A plain function that hands back something to await."""
    return guard(written(parameters, body, is_async=False))


def _with(first: str, parameters: str) -> str:
    """Parameters with one more in front; bound by position, so that no keyword can hit it."""
    if "/" in parameters:
        return f"{first}, {parameters}"
    return f"{first}, /, {parameters}" if parameters else f"{first}, /"


SYNC = (
    as_function, as_function, as_function, as_method, as_bound_method, as_classmethod, as_staticmethod, as_partial,
    as_object, as_lambda, as_builtin, as_foreign,
)  # fmt: skip
ASYNC = (*SYNC, as_function, as_function, sometimes_awaitable, always_awaitable)
