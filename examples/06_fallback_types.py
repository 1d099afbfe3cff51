"""fallback: three ways to answer something else, and what a type checker makes of them.

Run it with: python examples/06_fallback_types.py (and check it with: mypy --strict examples/06_fallback_types.py)
"""

from dataclasses import dataclass
from typing import assert_type

from resilix import fallback


@dataclass(frozen=True)
class Unavailable:
    """Says that there is no price, and why."""

    reason: str


def ask(symbol: str) -> int:
    """Stand in for a remote service that knows one symbol and is often out of reach."""
    if symbol == "ACME":
        return 4217
    raise ConnectionError("connection refused")


def yesterday(symbol: str) -> float:
    """A cheaper answer from somewhere else; it gets the arguments of the call."""
    return {"INIT": 99.5}[symbol]


def explain(error: Exception) -> Unavailable:
    """An answer made of the error."""
    return Unavailable(f"{type(error).__name__}: {error}")


# A value, a function of the arguments, a function of the error. Only what `on` names is answered.
price_or_none = fallback(None, on=ConnectionError)(ask)
price_or_older = fallback(call=yesterday, on=ConnectionError)(ask)
price_or_reason = fallback(handle=explain, on=ConnectionError)(ask)


def main() -> None:
    maybe = assert_type(price_or_none("INIT"), int | None)
    # A checker refuses `maybe + 1`: the answer None is part of the type, so nobody can forget about it.
    print(f"value:  {price_or_none('ACME')} or {maybe}")
    print(f"call:   {assert_type(price_or_older('INIT'), int | float)}")
    print(f"handle: {assert_type(price_or_reason('INIT'), int | Unavailable)}")

    try:
        price_or_older("NONE")  # the fallback itself fails: its error, with the first one as the cause
    except KeyError as error:
        print(f"broken fallback: KeyError {error}, because of {error.__cause__!r}")


if __name__ == "__main__":
    main()
