"""What happens inside the policies, as frozen dataclasses, for whoever subscribes.

Nobody listens: one attribute test per call, nothing else. Somebody listens: the event is built and handed
over in the thread and context of the caller, outside every lock. A listener that raises is counted, logged
once, and never seen by the caller. A listener may call guarded functions itself: what happens during that is told to
the other listeners, not to it again, or it would never come to an end. (A breaker's transition that it causes while it
is told of another one of the same breaker comes afterwards, to everybody: do not answer every transition with one.)

Example::

    from resilix import events

    stop = events.subscribe(lambda event: print(event))
    ...
    stop()

Error objects are carried in ``error`` for code to look at. ``repr`` of an event shows only the error's type,
because its text may hold a URL or a credential.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from resilix.attention import ATTENTION
from resilix.errors import ConfigurationError
from resilix.locks import Lock

if TYPE_CHECKING:
    from resilix.event_types import (
        AttemptFailed,
        CallAdmitted,
        CallRefused,
        ErrorEvent,
        Event,
        FallbackServed,
        FaultInjected,
        FaultsSwitched,
        GivenUp,
        HookError,
        Listener,
        ProbeAdmitted,
        RetryScheduled,
        TimedOut,
        Transition,
        TripObserved,
    )

__all__ = [
    "HUB",
    "AttemptFailed",
    "CallAdmitted",
    "CallRefused",
    "ErrorEvent",
    "Event",
    "FallbackServed",
    "FaultInjected",
    "FaultsSwitched",
    "GivenUp",
    "HookError",
    "Hub",
    "Listener",
    "ProbeAdmitted",
    "RetryScheduled",
    "TimedOut",
    "Transition",
    "TripObserved",
    "hook_errors",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    """Load the kinds of events when one of them is asked for the first time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _load_kinds()
    return globals()[name]


def __dir__() -> list[str]:
    """Those that are not loaded yet are there, too."""
    return sorted({*globals(), *__all__})


def _load_kinds() -> None:
    """Make them plain names of this module, all at once, so that nobody comes by ``__getattr__`` again."""
    from resilix import event_types  # programs to which nobody listens do not pay for it

    globals().update({kind: getattr(event_types, kind) for kind in event_types.__all__})


_RUNNING: ContextVar[tuple[Listener, ...]] = ContextVar("resilix_running_listeners", default=())
"""The listeners at work in this context. A context variable, because a listener's calls may go through a worker."""


class Hub:
    """Where policies hand in events and listeners take them out."""

    __slots__ = ("_lock", "hook_errors", "listeners", "logged")

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.hook_errors = 0
        self.logged: set[object] = set()
        self._lock = Lock()

    def add(self, listener: Listener) -> None:
        """Add a listener; the same one may be added more than once."""
        with self._lock:
            self.listeners = (*self.listeners, listener)
        ATTENTION.ask("listeners", self._listening)

    def remove(self, listener: Listener) -> None:
        """Remove one subscription of the listener, if it is still there."""
        with self._lock:
            kept = list(self.listeners)
            # Identity, not equality: user-defined equality must not run under our lock.
            for index, known in enumerate(kept):
                if known is listener:
                    del kept[index]
                    self.logged.discard(id(listener))  # the number may be another object's next
                    break
            self.listeners = tuple(kept)
        ATTENTION.ask("listeners", self._listening)

    def _listening(self) -> bool:
        return bool(self.listeners)

    def emit(self, event: Event) -> None:
        """Hand the event to every listener. What they raise is counted and goes no further."""
        running = _RUNNING.get()
        for listener in self.listeners:
            if any(listener is one for one in running):
                continue  # it caused this event itself
            token = _RUNNING.set((*running, listener))
            try:
                listener(event)
            except Exception as error:
                self._note(f"listener {_name_of(listener)}", id(listener), error)
            finally:
                _RUNNING.reset(token)

    def hook_failed(self, policy: str, name: str, hook: str, error: Exception) -> None:
        """Count an error of user code that a policy had to ask, and tell the listeners."""
        source = f"{policy} {name!r}: {hook}"
        self._note(source, source, error)
        if self.listeners:
            from resilix.event_types import HookError  # a name of this module is not loaded by asking for it in here

            self.emit(HookError(policy=policy, name=name, hook=hook, error=error, error_type=type(error).__name__))

    def _note(self, source: str, key: object, error: Exception) -> None:
        with self._lock:
            self.hook_errors += 1
            new = key not in self.logged and len(self.logged) < _MOST_LOGGED
            if new:
                self.logged.add(key)
        if new:
            import logging  # only ever needed when user code is broken

            logging.getLogger("resilix").error(
                "%s raised %s; resilix goes on without its answer (said once)", source, type(error).__name__
            )

    def forget(self) -> None:
        """Count broken hooks from nothing again, and log each once more; the listeners stay."""
        with self._lock:
            self.hook_errors = 0
            self.logged.clear()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = Lock()


_MOST_LOGGED = 256
"""How many broken hooks are remembered as logged, so that the memory for it is bounded."""


def _name_of(listener: Listener) -> str:
    # Never its repr: that of a partial shows arguments, that of an object whatever it likes.
    named: Callable[..., object] = getattr(listener, "__wrapped__", listener)
    return getattr(named, "__qualname__", None) or type(named).__qualname__


HUB = Hub()
"""The hub of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HUB.after_fork)


def subscribe(listener: Listener) -> Callable[[], None]:
    """Have ``listener(event)`` called for every event of every policy.

    Example::

        stop = subscribe(print)
        ...
        stop()

    Args:
        listener: Called with each event in the thread of the caller, outside every lock. What it raises is
            counted (:func:`hook_errors`), logged once to the "resilix" logger, and otherwise dropped.

    Returns:
        A function that ends this subscription; calling it again does nothing.

    Raises:
        ConfigurationError: The listener cannot be called, or is a coroutine function.
    """
    if not callable(listener):
        raise ConfigurationError(
            f"subscribe({listener!r}): a listener is called with each event; write subscribe(print), say"
        )
    if inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            f"subscribe({_name_of(listener)}): it is async, and nobody awaits a listener; write a plain def, and hand "
            "the event to a queue if there is more to do"
        )

    _load_kinds()  # now, rather than in the middle of a call

    def once(event: Event) -> object:
        return listener(event)

    # One function per subscription: the same listener may come twice, and each ends by itself.
    once.__wrapped__ = listener  # type: ignore[attr-defined]
    HUB.add(once)

    def unsubscribe() -> None:
        HUB.remove(once)

    return unsubscribe


def hook_errors() -> int:
    """How often user code given to a policy (listener, predicate, wait, …) raised in this process.

    Example::

        assert hook_errors() == 0
    """
    return HUB.hook_errors
