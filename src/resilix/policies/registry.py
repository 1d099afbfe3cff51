"""The live policies that have a name, and what is done to all of them: a fork, or a new beginning for a test."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol

from resilix.attention import ATTENTION
from resilix.errors import ResilixWarning
from resilix.locks import RLock


class Named(Protocol):
    """A noun: it has a name and survives a fork."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def _after_fork(self) -> None: ...

    def _attend(self) -> None: ...

    def _renew(self) -> None: ...


class Counting(Protocol):
    """Something with counts of its own that is no policy."""

    def _renew(self) -> None: ...


class Registry:
    """Finds live policies by kind and name; holds them weakly, so it is no larger than what lives."""

    def __init__(self) -> None:
        self._by_kind: dict[str, weakref.WeakValueDictionary[str, Named]] = {}
        self._replaced: weakref.WeakSet[Named] = weakref.WeakSet()  # live, and their name has gone to a newer one
        self._counted: weakref.WeakSet[Counting] = weakref.WeakSet()
        self._forked: list[Callable[[], object]] = []
        self._exchanged: list[Callable[[], object]] = []
        self._warned: set[tuple[str, str]] = set()
        self._thread = threading.local()
        self._lock = RLock()  # a policy may be made by a finalizer, anywhere

    def add(self, kind: str, policy: Named, *, stacklevel: int) -> None:
        """Enter a policy under its name; the newer one takes the name, and a warning says so once."""
        if getattr(self._thread, "apart", False):
            with self._lock:
                self._replaced.add(policy)
            policy._attend()  # pyright: ignore[reportPrivateUsage]  # part of the protocol above
            return
        key = (kind, policy.name)
        with self._lock:
            by_name = self._by_kind.setdefault(kind, weakref.WeakValueDictionary())
            older = by_name.get(policy.name)
            taken = older is not None and key not in self._warned and len(self._warned) < _MOST_WARNED
            if taken:
                self._warned.add(key)
            if older is not None and older is not policy:
                self._replaced.add(older)
            by_name[policy.name] = policy
        # Only now, so that what changes meanwhile reaches it either way.
        policy._attend()  # pyright: ignore[reportPrivateUsage]  # part of the protocol above
        if taken:
            warnings.warn(
                f"a second live {kind} is named {policy.name!r}: the newer one takes the name in metrics and "
                f"health. If both are meant to be one, share the object; else name them apart",
                ResilixWarning,
                stacklevel=stacklevel + 1,
            )

    @contextmanager
    def apart(self) -> Generator[None]:
        """Have the policies that this thread makes inside go without a name: metrics and health do not see them."""
        before = getattr(self._thread, "apart", False)
        self._thread.apart = True
        try:
            yield
        finally:
            self._thread.apart = before

    def retire(self, policy: Named) -> None:
        """Give up the name of a policy that will not be used again, though it may not be collected for a while."""
        with self._lock:
            for by_name in self._by_kind.values():
                if by_name.get(policy.name) is policy:
                    del by_name[policy.name]
                    self._replaced.add(policy)

    def find(self, kind: str, name: str) -> Named | None:
        """The live policy that has the name."""
        by_name = self._by_kind.get(kind)
        return None if by_name is None else by_name.get(name)

    def live(self) -> list[Named]:
        """The policies that live now, one for each kind and name, in the order of their names."""
        with self._lock:
            return [
                policy
                for _, by_name in sorted(self._by_kind.items())
                for _, policy in sorted(by_name.items(), key=lambda item: item[0])
            ]

    def attend(self) -> None:
        """Have all policies look again whether something in this process attends to calls."""
        for policy in self._all():
            policy._attend()  # pyright: ignore[reportPrivateUsage]  # part of the protocol above

    def _all(self) -> list[Named]:
        with self._lock:
            named = [policy for by_name in self._by_kind.values() for policy in by_name.values()]
            return [*named, *self._replaced]

    def count(self, source: Counting) -> None:
        """Have something with counts of its own, no policy, be seen by metrics for as long as it lives."""
        with self._lock:
            self._counted.add(source)

    def counted(self) -> list[Any]:
        """What was given to :meth:`count` and still lives."""
        with self._lock:
            return list(self._counted)

    def when_forked(self, then: Callable[[], object]) -> None:
        """Have ``then()`` called in a forked child, before the policies change."""
        self._forked.append(then)

    def when_exchanged(self, then: Callable[[], object]) -> None:
        """Have ``then()`` called when policies may have exchanged what they are made of: all are what they are then."""
        self._exchanged.append(then)

    def renew(self) -> None:
        """Have everything be as if it had just been made; what it was made with stays, and calls in flight go on."""
        for one in (*self.counted(), *self._all()):
            one._renew()  # pyright: ignore[reportPrivateUsage]  # part of the protocols above
        self._tell_exchanged()

    def _tell_exchanged(self) -> None:
        for then in self._exchanged:
            then()

    def after_fork(self) -> None:
        """In a forked child: locks and permits of the parent's other threads mean nothing here."""
        self._lock = RLock()
        ATTENTION.after_fork()
        for then in self._forked:
            then()
        for policy in self._all():
            policy._after_fork()  # pyright: ignore[reportPrivateUsage]  # part of the protocol above
        self._tell_exchanged()


_MOST_WARNED = 1024
"""How many names are warned of, so that the memory for it is bounded."""

REGISTRY = Registry()
"""The policies of this process."""

ATTENTION.when_changed(REGISTRY.attend)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REGISTRY.after_fork)
