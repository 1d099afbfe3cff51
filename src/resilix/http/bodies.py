"""Whether the body of a request can be sent again; known before it is sent for the first time.

Both libraries: bytes, text, JSON and forms are kept as a whole; a multipart body rewinds its files if it can; whatever
is iterated over (generators, async generators, plain files) is gone once it has been sent. A second attempt with a
gone body sends nothing, or half of it, and hides the first answer behind an error about the stream.
"""

from __future__ import annotations

from typing import Any, Final

WHOLE: Final = "ByteStream"
MULTIPART: Final = "MultipartStream"


def replayable(request: Any) -> bool:
    """Whether the body of a request of httpx or httpx2 can be sent again, byte for byte.

    Example::

        replayable(httpx.Request("POST", url, content=open("big.bin", "rb")))  # False
    """
    kinds = [kind.__name__ for kind in type(request.stream).__mro__]
    if WHOLE in kinds:
        return True
    if MULTIPART not in kinds:
        return False
    return all(_rewinds(field) for field in getattr(request.stream, "fields", (None,)))


def _rewinds(field: Any) -> bool:
    """Whether a field of a multipart body can be read again from its start."""
    held = getattr(field, "file", b"")
    if isinstance(held, (bytes, str)):
        return field is not None
    try:
        return bool(held.seekable())
    except Exception:  # no such method, or a closed file
        return False
