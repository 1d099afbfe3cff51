"""Policy: a small class of your own takes part like any of ours.

Run it with: python examples/07_your_own_policy.py
"""

from collections.abc import Awaitable, Callable
from typing import Never, ParamSpec, TypeVar

from resilix import Policy, pipeline, retry

P = ParamSpec("P")
R = TypeVar("R")


class Counted(Policy[Never]):  # Never: it does not answer by itself, so types stay as they are
    """Counts how the calls under it end."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.ended = {"well": 0, "badly": 0}

    def __repr__(self) -> str:
        return f"Counted({self.what!r})"

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a sync call."""
        try:
            result = fn(*args, **kwargs)
        except BaseException:  # cancellation too; counting it must not stop it
            self.ended["badly"] += 1
            raise
        self.ended["well"] += 1
        return result

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make an async call."""
        try:
            result = await fn(*args, **kwargs)
        except BaseException:
            self.ended["badly"] += 1
            raise
        self.ended["well"] += 1
        return result


orders, attempts = Counted("orders"), Counted("attempts")
guard = pipeline(orders, retry(on=ConnectionError, attempts=3, wait=0.01), attempts)
answers = iter([ConnectionError("reset"), "sent", ConnectionError("reset"), ConnectionError("reset"), "sent"])


@guard
def send(order: int) -> str:
    if isinstance(answer := next(answers), ConnectionError):
        raise answer
    return f"order {order} {answer}"


if __name__ == "__main__":
    print("outermost first:", " > ".join(guard.explain().order))
    print(f"{send(1000)}, {send(1001)}; orders ended {orders.ended}, attempts ended {attempts.ended}")
