"""What a target may tell a retry around it; the HTTP transports do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from resilix.core.retry_plan import Answer


class Outcomes(Protocol):
    """What the maker of a target knows about its outcomes that a retry around it cannot see."""

    def plain(self, result: Any) -> bool:
        """Whether a result is surely not worth another attempt; asked first, because it is cheap."""
        ...

    def good(self, result: Any) -> bool:
        """Whether a result that is not retried is a success, which pays into the budget."""
        ...

    def ruled(self, args: tuple[Any, ...], error: Exception | None, result: Any, answer: Answer) -> Answer:
        """The last word on another attempt, given what the retry's own options say."""
        ...

    def dropped(self, args: tuple[Any, ...], result: Any) -> None:
        """A result will not reach the caller, because another attempt is made."""
        ...

    async def adropped(self, args: tuple[Any, ...], result: Any) -> None:
        """The same, where the target is async."""
        ...

    def attributes(self, args: tuple[Any, ...], result: Any) -> Mapping[str, object]:
        """What listeners should know about an attempt."""
        ...
