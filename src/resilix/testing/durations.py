"""Durations that vary: how long a modelled dependency takes, or how late an injected fault makes an answer.

Each is drawn from a generator the caller hands in, so the same seed gives the same durations.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import NormalDist
from typing import Any, Final, TypeAlias

from resilix.core import options
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError

Z99: Final = NormalDist().inv_cdf(0.99)
"""How many standard deviations above the mean the 99th percentile of a normal distribution lies."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A distribution of seconds; made by the functions of this module.

    Attributes:
        text: How it was written, for tables and messages.
        mean: Its mean, in seconds.
        draw: Draws seconds from a random generator.
    """

    text: str
    mean: float
    draw: Callable[[random.Random], float]

    def __repr__(self) -> str:
        return self.text


Durations: TypeAlias = Seconds | Duration
"""What a duration may be written as: seconds, a ``timedelta``, or a distribution."""


def constant(seconds: Seconds) -> Duration:
    """Always the same.

    Example::

        constant(0.2)

    Args:
        seconds: Zero is no time at all.

    Raises:
        ConfigurationError: It is no duration.
    """
    length = options.duration("constant", "seconds", seconds, zero="no time at all")
    return Duration(f"{length:g}", length, lambda chance: length)


def uniform(low: Seconds, high: Seconds) -> Duration:
    """Anything between two, equally often.

    Example::

        uniform(0.1, 0.3)

    Args:
        low: The least, in seconds; zero is allowed.
        high: The most, in seconds; not less than ``low``.

    Raises:
        ConfigurationError: One of them is no duration, or ``high`` is less than ``low``.
    """
    least = options.duration("uniform", "low", low, zero="no time at all")
    most = options.duration("uniform", "high", high, zero="no time at all")
    if most < least:
        raise options.refuse("uniform", "high", high, f"it is less than low={least:g}", "swap the two")
    text = f"uniform({least:g}, {most:g})"
    return Duration(text, (least + most) / 2, lambda chance: chance.uniform(least, most))


def exponential(mean: Seconds) -> Duration:
    """Exponentially distributed: what a server without memory takes (the M of Kendall's M/M/1).

    Example::

        exponential(0.05)

    Args:
        mean: In seconds, more than zero.

    Raises:
        ConfigurationError: It is no such duration.
    """
    length = options.duration("exponential", "mean", mean)
    return Duration(f"exponential({length:g})", length, lambda chance: chance.expovariate(1 / length))


def lognormal(median: Seconds, p99: Seconds) -> Duration:
    """Log-normally distributed: what response times of real services look like, by two figures everybody has.

    The logarithm is normal with mean ``ln(median)`` and standard deviation ``ln(p99 / median) / 2.326``.

    Example::

        lognormal(median=0.05, p99=0.4)

    Args:
        median: In seconds: half are quicker.
        p99: In seconds, more than ``median``: one of a hundred is slower.

    Raises:
        ConfigurationError: One of them is no duration, or ``p99`` is not more than ``median``.
    """
    middle = options.duration("lognormal", "median", median)
    high = options.duration("lognormal", "p99", p99)
    if high <= middle:
        raise options.refuse("lognormal", "p99", p99, f"it is not more than median={middle:g}", "write the larger last")
    mu, sigma = math.log(middle), math.log(high / middle) / Z99
    text = f"lognormal({middle:g}, {high:g})"
    return Duration(text, math.exp(mu + sigma * sigma / 2), lambda chance: chance.lognormvariate(mu, sigma))


NAMED: Final[dict[str, Callable[..., Duration]]] = {
    "constant": constant,
    "uniform": uniform,
    "exponential": exponential,
    "lognormal": lognormal,
}


def duration_of(owner: str, option: str, value: Any) -> Duration:
    """Read an option that takes a duration or a distribution of durations.

    Args:
        owner: The public name the option belongs to, for the message.
        option: The option's name.
        value: A number, a ``timedelta``, a :class:`Duration`, or its text as in a file: ``"lognormal(0.05, 0.4)"``.

    Raises:
        ConfigurationError: It is none of them.
    """
    if isinstance(value, Duration):
        return value
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        return constant(options.duration(owner, option, value, zero="no time at all"))
    if isinstance(value, str):
        return _from_text(owner, option, value)
    raise options.refuse(
        owner, option, value, "it must be seconds or a distribution of them", f"write {option}=0.2 or exponential(0.2)"
    )


def _from_text(owner: str, option: str, text: str) -> Duration:
    name, bracket, rest = text.strip().partition("(")
    make = NAMED.get(name.strip())
    try:
        numbers = [float(one) for one in rest.rstrip().removesuffix(")").split(",")]
        if make is not None and bracket and rest.rstrip().endswith(")"):
            return make(*numbers)
    except (ValueError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
    known = ", ".join(NAMED)
    raise options.refuse(
        owner, option, text, f"a distribution is one of {known}, with its figures", 'write "exponential(0.2)", say'
    )
