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
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from resilix.attention import ATTENTION
from resilix.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        policy: The kind of policy: "breaker", "retry", "timeout", "bulkhead", "fallback", or "http" for what the
            transport of an HTTP request does by itself.
        name: The name of a noun (breaker, bulkhead), or the label of a verb: its pipeline's name, else the
            qualified name of the wrapped function.
    """

    policy: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAdmitted(Event):
    """A breaker or a bulkhead let a call through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused(Event):
    """A policy refused a call: the function did not run.

    Attributes:
        kind: "circuit_open", "bulkhead_full", "deadline_expired".
        retry_after: Seconds until it makes sense to come back, if known.
    """

    kind: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Event):
    """Base of the events that carry an error.

    Attributes:
        error: The exception itself, or ``None`` when a result was judged a failure. Not in ``repr``.
        error_type: The exception's type name, or "result".
        attributes: What the transport of an HTTP request adds, under OpenTelemetry's names
            ("http.request.method", "http.request.resend_count", "http.response.status_code", …); else empty.
    """

    error: BaseException | None = field(repr=False, compare=False)
    error_type: str
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(ErrorEvent):
    """One attempt of a retry failed in a way that may be retried.

    Attributes:
        attempt: Its number, from 1.
    """

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(ErrorEvent):
    """Another attempt will be made.

    Attributes:
        attempt: The number of the attempt to come.
        wait: Seconds until then.
    """

    attempt: int
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp(ErrorEvent):
    """No further attempt will be made; the last error or result goes to the caller.

    Attributes:
        attempts: How many attempts were made.
        reason: "attempts", "within", "deadline", "budget", "stop", "cancelled", or "hook" (wait or stop raised).
    """

    attempts: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Event):
    """A breaker changed its state or its mode.

    Attributes:
        from_state: "closed", "open" or "half_open".
        to_state: Likewise.
        mode: "normal", "forced_open", "disabled" or "observing", from now on.
        reason: Why, in a few words: "consecutive failures", "failure rate", "slow rate", "open time over",
            "probes succeeded", "probe failed", "probe lease expired"; by hand, "forced open", "disabled", "observing",
            "closed by hand", or what ``open()`` was given.
        opening: The number of the opening by itself since it was last closed.
    """

    from_state: str
    to_state: str
    mode: str
    reason: str
    opening: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TripObserved(Event):
    """A breaker that only observes would have opened now.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAdmitted(Event):
    """A half-open breaker let a probe through.

    Attributes:
        lease: Seconds the probe has before it counts as failed.
    """

    lease: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut(Event):
    """A timeout of ours expired while the call was running.

    Attributes:
        seconds: How long the call was given.
        abandoned: True when the call goes on in its worker thread although nobody waits for it.
    """

    seconds: float
    abandoned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackServed(ErrorEvent):
    """A fallback answered instead of the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookError(ErrorEvent):
    """User code given to a policy raised; its answer was done without.

    Attributes:
        hook: Which one: "on", "ignore", "on_result", "wait", "stop" or "open_for"; "classify" of an HTTP policy.
    """

    hook: str


Listener = Callable[[Event], object]

_RUNNING: ContextVar[tuple[Listener, ...]] = ContextVar("resilix_running_listeners", default=())
"""The listeners at work in this context. A context variable, because a listener's calls may go through a worker."""


class Hub:
    """Where policies hand in events and listeners take them out."""

    __slots__ = ("_lock", "hook_errors", "listeners", "logged")

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.hook_errors = 0
        self.logged: set[object] = set()
        self._lock = threading.Lock()

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

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()


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
