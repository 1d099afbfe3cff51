"""Whether anything in this process wants calls to be looked at, rather than made the quiet way.

Nearly always nothing does, and then nobody should pay for asking: a policy keeps the answer in the one attribute its
quiet path looks at anyway (a breaker its ``quiet`` era, a bulkhead its ``free`` places), and is told when it changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from resilix.locks import RLock

GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Without it ``x.n += 1`` can be torn, and other threads come in anywhere: see ``core/counting.py`` and
``core/tokens.py``."""


class Attention:
    """The reasons to look, and who is told.

    Attributes:
        wanted: Whether there is any reason now.
    """

    __slots__ = ("_lock", "_reasons", "_told", "wanted")

    def __init__(self) -> None:
        self._reasons: frozenset[str] = frozenset()
        self.wanted = False
        self._told: Callable[[], object] | None = None
        self._lock = RLock()  # a finalizer may subscribe, or set a deadline

    def when_changed(self, told: Callable[[], object]) -> None:
        """Have ``told()`` called when all should look again; there is one who is told."""
        self._told = told

    def ask(self, reason: str, ask: Callable[[], bool]) -> None:
        """Something that may be a reason to look has changed.

        Whoever is told reads ``wanted`` then, in a lock of its own: so after two changes at once all know the last.

        Args:
            reason: Its name.
            ask: Whether it is a reason now; asked when its turn has come.
        """
        with self._lock:
            self._reasons = self._reasons | {reason} if ask() else self._reasons - {reason}
            before, self.wanted = self.wanted, bool(self._reasons)
            changed = before is not self.wanted
        if changed:
            self.tell()

    def tell(self) -> None:
        """Have everybody look again."""
        if self._told is not None:
            self._told()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = RLock()


ATTENTION: Final = Attention()
"""What this process attends to."""
