"""Checks of what users write, and the sentences they get back: what is wrong, why, what to write instead."""

from __future__ import annotations

import functools
import inspect
import sys
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
    if option == "seconds" and callable(value):
        raise _put_on(owner, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(owner, option, value, "a duration is a number of seconds or a timedelta", f"write {option}=1.5")
    if not abs(value) <= sys.float_info.max:  # false for NaN too, and true whole numbers may be beyond any float
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
        raise _put_on(owner, value)
    raise refuse(
        owner,
        "name",
        value,
        "it needs a name, which operators see in metrics and errors",
        f'write {owner}("quotes")',
    )


VARIABLES = {"CircuitBreaker": "breaker", "Bulkhead": "slots", "RetryBudget": "budget"}
"""What a person would call one of these."""


def _put_on(owner: str, value: Any, hint: str = "") -> ConfigurationError:
    """Build the error for a name that was used as a decorator although it is none yet, or none at all."""
    shown = getattr(value, "__name__", type(value).__name__)
    if owner in VARIABLES:
        variable = VARIABLES[owner]
        made = f"{variable} = " + (hint or f'{owner}("quotes", …)')
        use = f"retry(on=…, budget={variable})" if owner == "RetryBudget" else f"@{variable} above {shown}"
        return ConfigurationError(
            f"@{owner} was put on {shown} without a name: a {owner} remembers, so it is made once, kept and shared by "
            f"everything that calls one dependency; write {made}, and then {use}"
        )
    if owner == "deadline":
        return ConfigurationError(
            f"deadline was given {shown} instead of seconds: it is a block, not a decorator; "
            f"write with deadline(2.0): around the call, or @timeout(2.0) above {shown}"
        )
    return ConfigurationError(
        f"@{owner} was put on {shown} without its options, so it cannot know what to do; "
        f"write @{hint or owner + '(2.0)'} above {shown}"
    )


def flag(owner: str, option: str, value: Any) -> bool:
    """Read a switch."""
    if not isinstance(value, bool):
        raise refuse(owner, option, value, "it is a switch", f"write {option}=True or {option}=False")
    return value


def function(owner: str, option: str, value: Any, takes: str) -> Callable[..., Any]:
    """Read a function option."""
    if not callable(value):
        raise refuse(owner, option, value, "it must be a function", f"write {option}=lambda{takes and ' ' + takes}: …")
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
                    raise _explain(owner, hint, signature, args[int(method) :], kwargs, mismatch) from None
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
) -> ConfigurationError:
    parameters = [one for one in signature.parameters.values() if one.name not in ("self", "policies")]
    by_keyword = [one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY]
    for name in kwargs:
        if name not in by_keyword:
            return ConfigurationError(f"{owner}({name}=…): {_unknown(name, parameters)}; write {hint}")
    if args and callable(args[-1]) and not isinstance(args[-1], type):
        return _put_on(owner, args[-1], hint)
    by_position = [one for one in parameters if one.kind is not one.KEYWORD_ONLY]
    if len(args) > len(by_position):
        taken = "no option" if not by_position else f"only {by_position[0].name}"
        return ConfigurationError(
            f"{owner}(…, {_short(args[-1])}): {taken} is taken by position, so that a call says what each value is "
            f"for; write {hint}"
        )
    given = {*kwargs, *(one.name for one in by_position[: len(args)])}
    missing = [one.name for one in parameters if one.default is one.empty and one.name not in given]
    if missing:
        return ConfigurationError(
            f"{owner}(…) needs {' and '.join(missing)}, which has no sensible default; write {hint}"
        )
    return ConfigurationError(f"{owner}(…) was called wrongly ({mismatch}); write {hint}")


def _unknown(name: str, parameters: list[inspect.Parameter]) -> str:
    """Say what is wrong with the name of an option."""
    known = [one.name for one in parameters]
    if name in known:
        return f"{name} is given by position, without its name"
    import difflib  # only needed for a misspelt option

    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"there is no such option, did you mean {near[0]}?"
    return f"there is no such option, the options are {', '.join(known)}"
