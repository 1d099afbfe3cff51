"""``deadline``: the moment by which everything inside must be over, and how policies obey it."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Never, Self

from resilix import events
from resilix.clock import SYSTEM
from resilix.core import options
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked
from resilix.errors import DeadlineExpiredError
from resilix.events import HUB
from resilix.tally import TALLY


class deadline:  # noqa: N801 - a verb, written where it is needed
    """Give everything inside the block one deadline, which every policy obeys.

    No attempt starts, no wait begins and nobody queues for what cannot finish in time. Nested deadlines only narrow. It
    travels in a context variable: tasks started inside have it too, and so do ``asyncio.to_thread``, the workers of
    ``timeout`` and whatever runs in a copy of the context. A bare ``threading.Thread`` has it only where Python lets
    threads inherit the context (``-X thread_inherit_context``, from 3.14 on; free-threaded builds do).

    One object may be entered again, in several tasks and threads at once too: each time counts from its own entry.

    Example::

        with deadline(2.0):
            price("ACME")      # retries stop early rather than pass the two seconds
            price("INIT")      # DeadlineExpiredError when nothing is left

    Args:
        seconds: From the moment the block is entered. Zero: it has passed already, so nothing starts (for a
            remaining time that was computed).

    Raises:
        ConfigurationError: ``seconds`` is negative, infinite, NaN or no duration.

    It never interrupts what runs: put ``timeout`` around that. The idea is gRPC's deadline propagation.
    """

    __slots__ = ("_seconds",)

    @checked("deadline", "deadline(2.0)")
    def __init__(self, seconds: Seconds) -> None:
        self._seconds = options.duration("deadline", "seconds", seconds, zero="a deadline that has passed")

    def __enter__(self) -> Self:
        DEADLINE.enter(self, SYSTEM.now() + self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        DEADLINE.leave(self)

    def __repr__(self) -> str:
        return f"deadline({self._seconds:g})"

    @staticmethod
    def remaining() -> float:
        """Seconds left before the current deadline, at least 0; infinite without one.

        Example::

            client.get(url, timeout=min(2.0, deadline.remaining()))
        """
        return max(0.0, DEADLINE.remaining(SYSTEM.now()))


def over() -> bool:
    """Whether the deadline of this context has passed."""
    moment = DEADLINE.moment()
    return moment != math.inf and SYSTEM.now() >= moment


def must_look() -> bool:
    """Whether a call has to go through the shells: somebody listens, or its deadline has passed.

    To be asked where something in this process attends to calls.
    """
    return bool(HUB.listeners) or over()


def check_deadline(policy: str, label: str, *, name: str | None = None) -> None:
    """Refuse to start anything when no time is left; see :func:`refuse_deadline`.

    Raises:
        DeadlineExpiredError: The deadline of this context has passed.
    """
    if DEADLINE.remaining(SYSTEM.now()) <= 0:
        refuse_deadline(policy, label, name=name)


def refuse_deadline(policy: str, label: str, *, name: str | None = None) -> Never:
    """Tell the listeners and raise.

    Args:
        policy: The kind of policy that refuses.
        label: What could not start, for the error.
        name: What events call the policy, when it has a name of its own.

    Raises:
        DeadlineExpiredError: Always.
    """
    TALLY.add("rejections", name or label, "deadline_expired")
    if HUB.listeners:
        HUB.emit(events.CallRefused(policy=policy, name=name or label, kind="deadline_expired"))
    raise DeadlineExpiredError(label)
