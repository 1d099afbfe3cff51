"""The weaver: one function in place of several nested shells, for calls that are quiet.

Plain first, woven second. The shells that policies bind around a function are the meaning of the library; this makes of
their quiet cases (``quiet.py``) one function with the parameters of the user's function, so that a quiet call runs in
one frame and its arguments are never packed: that is two thirds of what an ordinary decorator costs. It knows no policy
by name, and everything that is not quiet it leaves to the shells.

The source of a woven function is in ``linecache``: tracebacks and debuggers show it. ``RESILIX_WEAVE=0`` in the
environment switches weaving off: then functions are wrapped in the shells themselves.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import linecache
import os
import sys
import types
import weakref
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from resilix.locks import RLock
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.quiet import Live, Quiet
from resilix.policies.registry import REGISTRY
from resilix.policies.weave_shut import SHUTTER
from resilix.policies.weave_text import OWN, Shape, named, source_of

MOST_KEPT: Final = 512
"""How many different woven sources are kept for functions of the same shape."""


class Switch:
    """Whether functions decorated from now on are woven.

    Attributes:
        on: True unless ``RESILIX_WEAVE`` is 0, off, false or no.
    """

    __slots__ = ("on",)

    def __init__(self, setting: str) -> None:
        self.on = setting.strip().lower() not in ("0", "off", "false", "no")


WEAVE: Final = Switch(os.environ.get("RESILIX_WEAVE", ""))
"""The switch of this process."""


class Level(NamedTuple):
    """One policy in a woven function.

    Attributes:
        shell: Its plain shell, which has the shells of the policies inside it.
        quiet: Its quiet case.
        handed: Goes on, async, with something to await that a sync function handed back.
    """

    shell: AnyCallable
    quiet: Quiet
    handed: AnyCallable


class Loom:
    """Keeps the code of woven functions, so that the next of the same shape costs a fraction."""

    __slots__ = ("_codes", "_lock", "_numbers")

    def __init__(self) -> None:
        self._codes: dict[tuple[Any, ...], types.CodeType] = {}
        self._numbers = itertools.count(1)
        self._lock = RLock()

    def code(self, levels: Sequence[Quiet], shape: Shape, *, is_async: bool) -> types.CodeType:
        """The code of a woven function, made once."""
        key = (shape.parameters, shape.call, is_async, *[level.lines for level in levels])
        known = self._codes.get(key)
        if known is not None:
            return known
        source = source_of(levels, shape, is_async=is_async)
        filename = f"<resilix woven {next(self._numbers)}>"
        # Our own text, and stand-ins for parameters. Nothing is run: the function's code is a constant of the module's.
        module = compile(source, filename, "exec", dont_inherit=True)
        code: types.CodeType
        [code] = [one for one in module.co_consts if type(one) is types.CodeType]
        with self._lock:
            if len(self._codes) >= MOST_KEPT:
                self.forget()
            kept = self._codes.setdefault(key, code)  # another thread may have been quicker
        if kept is code:
            # Without a time stamp, so that linecache keeps it although there is no such file.
            linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        return kept

    def forget(self) -> None:
        """Drop all of it; functions woven already keep theirs."""
        with self._lock:
            codes, self._codes = self._codes, {}
        for code in codes.values():
            linecache.cache.pop(code.co_filename, None)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = RLock()


LOOM: Final = Loom()


def weave(
    levels: Sequence[Level],
    fn: AnyCallable,
    shape: Shape,
    *,
    is_async: bool,
    names: tuple[str, ...] = (),
    like: Any = None,
) -> Any:
    """Make one function of the quiet cases of several shells.

    Args:
        levels: The policies, outermost first; at least one.
        fn: What the innermost of them calls.
        shape: What the function takes.
        is_async: Whether it is awaited.
        names: What faults may be injected by.
        like: The function whose name it bears in tracebacks, and whose defaults it has.
    """
    code = LOOM.code([level.quiet for level in levels], shape, is_async=is_async)
    if like is not None:
        code = named(code, shape.names, like)
    namespace: dict[str, Any] = {"__name__": __name__, f"{OWN}_fn": fn, f"{OWN}_names": names}
    live = False
    for depth, level in enumerate(levels):
        own = f"{OWN}{depth}_"
        namespace[f"{own}shell"] = level.shell
        namespace.update(_builtins(own))
        for name, one in level.quiet.names.items():
            if type(one) is Live:
                live, one = True, one.look_up()
            namespace[own + name] = one
    woven = function_of(code, namespace, like)
    if not is_async:
        _add_handed(namespace, levels, weakref.ref(woven))
    if live:
        namespace[f"{OWN}_quiets"] = tuple(level.quiet for level in levels)
        WITH_LIVE_NAMES.add(woven)
    SHUTTER.add(woven)
    return woven


SPECIALIZED: Final = sys.version_info < (3, 13)
"""Whether the interpreter specializes calls of every function.

Later ones do so only for a function that a ``def`` made, and only until its code or its defaults are set; without it a
call costs four percent of a bare wrapper more.
"""


def function_of(code: types.CodeType, namespace: dict[str, Any], like: Any) -> types.FunctionType:
    """A function with this code and these globals, and the defaults of another."""
    defaults, by_name = (None, None) if like is None else (like.__defaults__, like.__kwdefaults__)
    if SPECIALIZED or like is None or defaults is not None or by_name is not None:
        woven = types.FunctionType(code, namespace, None, defaults)
        if by_name is not None:
            woven.__kwdefaults__ = by_name
        return woven
    constants = tuple([code if type(one) is types.CodeType else one for one in MAKER.co_consts])
    made: types.FunctionType = types.FunctionType(MAKER.replace(co_consts=constants), namespace)()
    return made


def _maker() -> AnyCallable:
    def made() -> None: ...

    return made


MAKER: Final = _maker.__code__
"""Runs a ``def``; of what function, its constants say."""


@functools.cache
def _builtins(own: str) -> dict[str, type]:
    """The builtins that quiet cases use, under names of ours: a parameter may have the same name."""
    return {own + one.__name__: one for one in (AttributeError, BaseException, Exception, KeyError)}


def _add_handed(namespace: dict[str, Any], levels: Sequence[Level], woven: weakref.ref[types.FunctionType]) -> None:
    """Add what a sync function needs in case it hands back something to await."""

    def hands(result: Any) -> bool:
        awaitable, own = is_awaitable(result), woven()
        if own is not None and own.__globals__[f"{OWN}_plain"] is not PLAIN and type(result) in PLAIN:
            # What it returns first is what it returns most.
            own.__globals__.update({f"{OWN}_kind": type(result), f"{OWN}_plain": PLAIN})
        return awaitable

    def go_on(depth: int, result: Any, /, *args: Any, **kwargs: Any) -> Any:
        for level in reversed(levels[:depth]):
            result = level.handed(result, args, kwargs)
        return result

    namespace[f"{OWN}_kind"], namespace[f"{OWN}_plain"] = None, ()
    namespace[f"{OWN}_hands"], namespace[f"{OWN}_go_on"] = hands, go_on


def unwoven(shell: AnyCallable, fn: Any, *, is_async: bool) -> Any:
    """The shell as it is, for a function that would be woven if that were not switched off.

    As there, a call with the wrong arguments is the caller's mistake and reaches no policy. (An async function says so
    when it is awaited, woven when it is called.)
    """
    # Of a copy, which has no signature of somebody else's making.
    bare = types.FunctionType(fn.__code__, fn.__globals__, None, fn.__defaults__, fn.__closure__)
    bare.__kwdefaults__ = fn.__kwdefaults__
    bind = inspect.signature(bare).bind

    def fits(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        try:
            bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    if is_async:

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await (shell if fits(args, kwargs) else fn)(*args, **kwargs)

        return awaited

    def called(*args: Any, **kwargs: Any) -> Any:
        return (shell if fits(args, kwargs) else fn)(*args, **kwargs)

    return called


# -- when policies exchange what they are made of --------------------------------------------------------------------

WITH_LIVE_NAMES: Final[weakref.WeakSet[types.FunctionType]] = weakref.WeakSet()


def _look_again() -> None:
    for woven in _with_live_names():
        namespace = woven.__globals__
        for depth, quiet in enumerate(namespace[f"{OWN}_quiets"]):
            for name, one in quiet.names.items():
                if isinstance(one, Live):
                    namespace[f"{OWN}{depth}_{name}"] = one.look_up()


def _with_live_names() -> list[types.FunctionType]:
    while True:
        try:
            return list(WITH_LIVE_NAMES)
        except RuntimeError:
            continue  # another thread wove one meanwhile


REGISTRY.when_forked(LOOM.after_fork)
REGISTRY.when_forked(SHUTTER.after_fork)
REGISTRY.when_exchanged(_look_again)
