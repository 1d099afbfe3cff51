"""Bodies that somebody waits for: permits and deadlines live until the body ends, dies, or is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

from resilix.clock import SYSTEM

Settle: TypeAlias = Callable[[BaseException | None], None]
"""Called once when the body is over: with what killed it, or with ``None``."""


class Abandoned(BaseException):
    """Stands for the end of a body that nobody read or closed; never raised."""


class Body:
    """What a sync and an async body share.

    Attributes:
        response: The response it belongs to.
        inner: The body of the transport.
        moment: When it must have ended, on the system clock; infinite without a bound.
        settles: Whom to tell when it has ended, died, or been closed; emptied when they have been told.
        closed: Whom to tell only when it has died or been closed: a body that was read to its end is still open.
        too_late: Makes the error for a body that did not end in time.
    """

    __slots__ = ("closed", "inner", "moment", "settles", "too_late")

    def __init__(self, inner: Any, moment: float, too_late: Callable[[], Exception]) -> None:
        self.inner = inner
        self.moment = moment
        self.too_late = too_late
        self.settles: tuple[Settle, ...] = ()
        self.closed: Settle | None = None

    def add(self, settle: Settle) -> None:
        """Tell one more when the body is over."""
        self.settles = (*self.settles, settle)

    def finish(self, error: BaseException | None) -> None:
        """The body is over. Later calls change nothing."""
        settles, self.settles = self.settles, ()
        for settle in settles:
            settle(error)

    def over(self, error: BaseException | None) -> None:
        """The body is over and closed. Later calls change nothing."""
        closed, self.closed = self.closed, None
        try:
            if closed is not None:
                closed(error)
        finally:
            self.finish(error)

    def check(self) -> None:
        """Raise when the moment has passed."""
        if SYSTEM.now() >= self.moment:
            raise self.too_late()


class HeldStream(Body):
    """The body of a sync response."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.inner:
                self.check()
                yield chunk
        except GeneratorExit:
            raise  # the reader left early; close() will say that the body is over
        except BaseException as error:
            self.over(error)
            raise
        self.finish(None)

    def close(self) -> None:
        """Close the body; one that is closed before its end is no failure of the server."""
        try:
            self.inner.close()
        finally:
            self.over(None)

    def __del__(self) -> None:
        if self.settles or self.closed is not None:
            self.over(Abandoned())


class AsyncHeldStream(Body):
    """The body of an async response."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.inner:
                self.check()
                yield chunk
        except GeneratorExit:
            raise  # as above
        except BaseException as error:
            self.over(error)
            raise
        self.finish(None)

    async def aclose(self) -> None:
        """Close the body; as its sync twin."""
        try:
            await self.inner.aclose()
        finally:
            self.over(None)

    def __del__(self) -> None:
        if self.settles or self.closed is not None:
            self.over(Abandoned())


class ReadStream:
    """A body that was read already: its raw chunks, and what came after them."""

    def __init__(self, chunks: list[bytes], end: Exception | None = None) -> None:
        self.chunks = chunks
        self.end = end

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.end is not None:
            raise self.end

    def close(self) -> None:
        """Nothing is open any more."""


class AsyncReadStream:
    """The async side of :class:`ReadStream`."""

    chunks: list[bytes]
    end: Exception | None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.end is not None:
            raise self.end

    async def aclose(self) -> None:
        """Nothing is open any more."""
