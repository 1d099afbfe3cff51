"""Woven functions while faults are injected by name: each goes straight to its shells.

Some quiet cases (a retry's, a fallback's) look at nothing that could tell them, and no quiet path is to pay for a look.
So the code of every woven function is exchanged when the door opens, and put back when it shuts: whoever has the
function, however long ago it was decorated, calls the same object.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from typing import Any, Final

from resilix.injection import INJECTION
from resilix.locks import RLock
from resilix.policies.hook import entered
from resilix.policies.weave_text import OWN, named, shape_of

QUIET_CODE: Final = f"{OWN}_quiet_code"
"""Where a function that is shut keeps its own code."""
SHUT_CODE: Final = f"{OWN}_shut_code"
"""Where a function that was shut before keeps the other one, for the next test."""


class Shutter:
    """Knows every live woven function, and shuts and opens them all."""

    def __init__(self) -> None:
        # No WeakSet, whose add() is Python: every decoration comes by here.
        self._woven: set[weakref.ref[types.FunctionType]] = set()
        self._shut = False
        self._lock = RLock()  # a finalizer may decorate, anywhere

    def add(self, woven: types.FunctionType) -> None:
        """One more was made."""
        with self._lock:
            self._woven.add(weakref.ref(woven, self._woven.discard))
            if self._shut:
                _shut(woven)

    def look(self) -> None:
        """The door may have been opened or shut."""
        with self._lock:
            shut = INJECTION.door is not None
            if shut is not self._shut:
                self._shut = shut
                for woven in self._live():
                    (_shut if shut else _open)(woven)

    def names(self) -> set[str]:
        """The names of all policies and functions that are woven."""
        with self._lock:
            every = self._live()
        return {name for one in every for name in (one.__qualname__, *one.__globals__[f"{OWN}_names"])}

    def _live(self) -> list[types.FunctionType]:
        return [woven for one in list(self._woven) if (woven := one()) is not None]

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = RLock()


SHUTTER: Final = Shutter()

INJECTION.when_changed(SHUTTER.look)


def _shut(woven: types.FunctionType) -> None:
    namespace = woven.__globals__
    if QUIET_CODE in namespace:
        return
    if SHUT_CODE not in namespace:
        namespace[SHUT_CODE] = _shut_code(woven)
    namespace[QUIET_CODE], woven.__code__ = woven.__code__, namespace[SHUT_CODE]


def _shut_code(woven: types.FunctionType) -> types.CodeType:
    shape = shape_of(woven)
    assert shape is not None, "what the weaver makes is a plain function"
    namespace, is_async = woven.__globals__, bool(woven.__code__.co_flags & inspect.CO_COROUTINE)
    namespace[f"{OWN}_enter"] = entered(namespace[f"{OWN}0_shell"], namespace[f"{OWN}_names"], is_async=is_async)
    return named(_straight(shape.parameters, shape.arguments, is_async), shape.names, woven)


def _open(woven: types.FunctionType) -> None:
    # The way in stays: a call that has just begun in another thread may still ask for it.
    code: types.CodeType | None = woven.__globals__.pop(QUIET_CODE, None)
    if code is not None:
        woven.__code__ = code


@functools.lru_cache(512)
def _straight(parameters: str, arguments: str, is_async: bool) -> types.CodeType:
    """The code of a function that hands everything to its outermost shell."""
    head, wait = ("async def", "await ") if is_async else ("def", "")
    source = f"{head} woven({parameters}):\n    return {wait}{OWN}_enter({arguments})\n"
    namespace: dict[str, Any] = {}
    # Our own text, and stand-ins for the names of parameters.
    exec(compile(source, "<resilix, faults injected>", "exec", dont_inherit=True), namespace)
    code: types.CodeType = namespace["woven"].__code__
    return code
