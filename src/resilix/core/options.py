"""Checks of what users write, and the sentences they get back: what is wrong, why, what to write instead."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeAlias, TypeVar

from resilix.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

Seconds: TypeAlias = float | timedelta
"""A duration: seconds as a number, or a ``timedelta``."""


def refuse(owner: str, option: str, value: object, why: str, instead: str) -> ConfigurationError:
    """Build the error for one bad option; the caller raises it where the mistake was written."""
    return ConfigurationError(f"{owner}({option}={_short(value)}): {why}; {instead}")


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def duration(owner: str, option: str, value: Any, *, zero: str | None = None) -> float:
    """Read a duration in seconds.

    Args:
        owner: The public name the option belongs to, for the message.
        option: The option's name.
        value: A finite number or a ``timedelta``.
        zero: What zero means, if it is allowed; ``None`` refuses it.

    Raises:
        ConfigurationError: Wrong type, NaN, infinite, negative, or zero where zero means nothing.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(owner, option, value, "a duration is a number of seconds or a timedelta", f"write {option}=1.5")
    if not math.isfinite(value):
        raise refuse(owner, option, value, "a duration must be finite", f"write {option}=60.0, or a longer one")
    if value < 0 or (value == 0 and zero is None):
        least = "zero or more seconds" if zero else "more than zero seconds"
        hint = f"write {option}=0 for {zero}" if zero else f"write {option}=0.5, say"
        raise refuse(owner, option, value, f"it must be {least}", hint)
    return float(value)


def whole(owner: str, option: str, value: Any, *, least: int, why: str, most: int | None = None) -> int:
    """Read a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(owner, option, value, "it must be a whole number", f"write {option}={max(least, 1)}")
    if value < least:
        raise refuse(owner, option, value, why, f"write {option}={least} or more")
    if most is not None and value > most:
        raise refuse(owner, option, value, why, f"write {option}={most} or less")
    return value


def ratio(owner: str, option: str, value: Any) -> float:
    """Read a rate: more than 0 and at most 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(owner, option, value, "a rate is a number between 0 and 1", f"write {option}=0.5 for 50 %")
    if not 0 < value <= 1:
        hint = f"write {option}={value / 100:g} for {value:g} %" if 1 < value <= 100 else f"write {option}=0.5"
        raise refuse(
            owner,
            option,
            value,
            "a rate is a share of the calls, above 0 and at most 1 (None switches the rule off)",
            hint,
        )
    return float(value)


def name_of(owner: str, value: Any) -> str:
    """Read the name of a noun; catch the decorator written without parentheses."""
    if isinstance(value, str) and value.strip():
        return value
    if callable(value):
        shown = getattr(value, "__name__", type(value).__name__)
        raise ConfigurationError(
            f"@{owner} was put on {shown} without a name: a {owner} is a thing of its own, kept and shared "
            f'per dependency; write {owner.lower()}s = {owner}("{shown}", …) and then @{owner.lower()}s'
        )
    raise refuse(
        owner,
        "name",
        value,
        "it needs a name, which operators see in metrics and errors",
        f'write {owner}("quotes")',
    )


def flag(owner: str, option: str, value: Any) -> bool:
    """Read a switch."""
    if not isinstance(value, bool):
        raise refuse(owner, option, value, "it is a switch", f"write {option}=True or {option}=False")
    return value


def function(owner: str, option: str, value: Any, takes: str) -> Callable[..., Any]:
    """Read a function option."""
    if not callable(value):
        raise refuse(owner, option, value, "it must be a function", f"write {option}=lambda {takes}: …")
    return value  # type: ignore[no-any-return]


def checked(owner: str, hint: str, *, method: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn a wrong call of a constructor or function into a ``ConfigurationError`` that says what to write.

    A bare ``TypeError`` about ``__init__`` would not tell the author that an option was misspelt, or that the
    decorator was written without its parentheses.

    Args:
        owner: The public name, as the author wrote it.
        hint: What a right call looks like.
        method: Whether the first argument is ``self``.
    """

    def decorate(init: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(init)
        def checking(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return init(*args, **kwargs)
            except TypeError as error:
                signature = inspect.signature(init)
                try:
                    signature.bind(*args, **kwargs)
                except TypeError as mismatch:
                    raise ConfigurationError(
                        _explain(owner, hint, signature, args[int(method) :], kwargs, mismatch)
                    ) from None
                raise error

        return checking

    return decorate


def _explain(
    owner: str,
    hint: str,
    signature: inspect.Signature,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    mismatch: TypeError,
) -> str:
    known = [name for name in signature.parameters if name not in ("self", "args", "kwargs", "policies")]
    for name in kwargs:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"the options are {', '.join(known)}"
            return f"{owner}() has no option {name!r}: {meant} Write {hint}"
    if args and callable(args[-1]) and not isinstance(args[-1], type):
        shown = getattr(args[-1], "__name__", type(args[-1]).__name__)
        return f"@{owner} was put on {shown} without its options: write @{hint} above it"
    return f"{owner}() was called wrongly ({mismatch}): write {hint}"
