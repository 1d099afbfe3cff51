"""How a policy states its quiet case: what it does around a call when there is nothing to look at.

Nearly every call is quiet: the breaker is closed, a place is free, the first attempt succeeds, nobody listens. A shell
(the ordinary closure that a policy binds around a function) may say beside itself what it does then, as a few lines of
Python. The weaver (``weave.py``) puts the lines of all policies around a function into one. They say nothing new: with
them or without, a call means the same, and wherever a line would have to decide more, it goes to the shell.

The lines may use the names given with them, builtins, and these words:

- ``result = INNER`` makes the call: the next policy's lines, or the function.
- ``result = PLAIN`` leaves everything from here inwards to the shell.
- ``CALL`` stands for the arguments, as a tuple and a dict.
- ``AWAIT`` is ``await`` in an async function and nothing in a sync one.
- ``DONE`` says that a result which came back stands as it is, so nothing below has to be done.

Every other name is local. ``result`` is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from resilix.policies.functions import AnyCallable

KEY: Final = "__resilix_quiet__"


class Live:
    """A name that stands for something else once a policy has exchanged its state: after a fork, or in a test."""

    __slots__ = ("look_up",)

    def __init__(self, look_up: Callable[[], object]) -> None:
        self.look_up = look_up


class Quiet(NamedTuple):
    """The quiet case of one shell.

    Attributes:
        lines: Python, with the words above.
        names: What the names in it stand for.
        wants_call: Whether the policy looks at the arguments as the caller wrote them.
        handed: Goes on, async, with something to await that a sync function handed back; ``None`` for the usual way.
    """

    lines: str
    names: Mapping[str, object]
    wants_call: bool = False
    handed: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any] | None = None


def with_quiet(shell: AnyCallable, quiet: Quiet) -> AnyCallable:
    """The shell, with its quiet case beside it."""
    shell.__dict__[KEY] = quiet
    return shell


def quiet_of(shell: AnyCallable) -> Quiet | None:
    """The quiet case of a shell, if it has one."""
    known: dict[str, Any] = getattr(shell, "__dict__", {})
    found: Quiet | None = known.get(KEY)
    return found
