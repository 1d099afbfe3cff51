"""Where injected faults come in: one door for all policies, which is shut unless a test has opened it.

Production code pays for it with one look at an attribute, and only in the plain shells: woven functions are exchanged
when the door opens, and the quiet path of HTTP is shut by ``attention.py``. Who stands behind the door is in
``resilix.testing.faults``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

from resilix.attention import ATTENTION


class Plan(Protocol):
    """Decides what befalls a call."""

    def _meet(
        self,
        name: str,
        label: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        request: Any = None,
        function: Callable[..., Any] | None = None,
    ) -> Any:
        """The fate of one call; ``None`` while faults are switched off."""
        ...


class Door(Protocol):
    """What an attempt goes through while faults are injected by name."""

    def run(self, names: tuple[str, ...], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Let the plans for these names befall a call, then make it."""
        ...

    def arun(
        self, names: tuple[str, ...], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """The same, async."""
        ...

    def plans(self, names: tuple[str, ...]) -> Sequence[tuple[str, Plan]]:
        """The plans for these names, each with the name it is for; the newest first."""
        ...


class Injection:
    """Whether faults may be injected in this process, and whether some are by name.

    Attributes:
        door: Where each attempt goes through; ``None`` while nothing is injected by name.
        enabled: Whether faults are switched on.
    """

    __slots__ = ("_told", "door", "enabled")

    def __init__(self) -> None:
        self.door: Door | None = None
        self.enabled = False
        self._told: list[Callable[[], object]] = []

    def when_changed(self, told: Callable[[], object]) -> None:
        """Have ``told()`` called when the door has been opened or shut."""
        self._told.append(told)

    def set(self, door: Door | None) -> None:
        """Open or shut the door; one thread at a time."""
        self.door = door
        ATTENTION.ask("faults", lambda: self.door is not None)
        for told in self._told:
            told()


INJECTION: Final = Injection()
"""The door of this process."""

NAMES: Final[ContextVar[tuple[str, ...]]] = ContextVar("resilix_names_around", default=())
"""The names of the policies around the attempt to come. Set only while something is injected."""
