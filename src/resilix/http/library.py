"""What the two libraries call the same, found once for each: httpx and its successor httpx2.

Nothing here imports either of them; the doors (``resilix.httpx``, ``resilix.httpx2``) hand theirs over.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from resilix.errors import RejectedError
from resilix.http.streams import AsyncHeldStream, AsyncReadStream, HeldStream, ReadStream


class Library:
    """One of the two libraries, as the shared source sees it.

    Attributes:
        module: ``httpx`` or ``httpx2``.
        name: What it is called.
        refusals: For each of our refusals the class that is a transport error of this library as well.
        byte_stream: The class of a body that is there as a whole.
        held_stream: The class of a sync body that somebody waits for the end of.
        async_held_stream: The same, async.
        read_stream: The class of a body that has been read already.
        parts_at_hand: Whether a URL keeps its parts where the quiet path looks for them.
        in_memory: Sync transports that do no I/O of their own, so no time limit can or need be held inside them.
    """

    __slots__ = (
        "async_held_stream", "byte_stream", "held_stream", "in_memory", "module", "name", "parts_at_hand",
        "read_stream", "refusals",
    )  # fmt: skip

    def __init__(self, module: ModuleType, refusals: Mapping[type[RejectedError], type[RejectedError]]) -> None:
        self.module: Any = module
        self.name = module.__name__
        self.refusals = refusals
        # What bytes, json and forms become; no public name, but the class of any request with such a body.
        self.byte_stream: type = type(module.Request("POST", "http://resilix.invalid", content=b"x").stream)
        sync_base, async_base = module.SyncByteStream, module.AsyncByteStream
        # The library checks the class of a stream, so each needs its own.
        self.held_stream: Any = type("HeldStream", (HeldStream, sync_base), {"__slots__": ()})
        self.async_held_stream: Any = type("AsyncHeldStream", (AsyncHeldStream, async_base), {"__slots__": ()})
        self.read_stream: Any = type("ReadStream", (ReadStream, AsyncReadStream, sync_base, async_base), {})
        self.parts_at_hand = hasattr(module.URL("http://resilix.invalid"), "_uri_reference")
        self.in_memory: tuple[type, ...] = (module.MockTransport, module.WSGITransport)

    def refused(self, error: RejectedError, request: Any) -> RejectedError:
        """The same refusal as an error of this library too, for one that is not yet.

        ``except httpx.TransportError`` in a program that knew nothing of resilix still holds.
        """
        for kind in type(error).__mro__:
            ours = self.refusals.get(kind)
            if ours is not None:
                break
        else:  # pragma: no cover - RejectedError itself is among them
            raise error
        if isinstance(error, ours):
            return error
        made = ours.__new__(ours)
        made.args = error.args
        made.__dict__.update(error.__dict__)
        made.__dict__["_request"] = request
        return made

    def body_timeout(self, request: Any) -> Exception:
        """The library's own error for a body that did not end in time."""
        error: Exception = self.module.ReadTimeout("the deadline passed before the body ended", request=request)
        return error
