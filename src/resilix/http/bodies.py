"""Whether the body of a request can be sent again; known before it is sent for the first time.

Both libraries: bytes, text, JSON and forms are kept as a whole; a multipart body goes back to the start of its files
whenever it is sent; whatever is iterated over (generators, async generators, plain files) is gone once it has been
sent. A second attempt with a gone body sends nothing, or half of it, and hides the first answer behind an error about
the stream.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

LIBRARIES: Final = ("httpx", "httpx2")
WHOLE: Final = "ByteStream"
MULTIPART: Final = "MultipartStream"
READS: Final = ("__iter__", "__aiter__")
"""What a transport calls to read a body."""


def replayable(request: Any) -> bool:
    """Whether the body of a request of httpx or httpx2 can be sent again, byte for byte.

    Example::

        replayable(httpx.Request("POST", url, content=open("big.bin", "rb")))  # False
    """
    stream = request.stream
    made: Any = type(stream)
    kind = _kind_of(made)
    if kind == WHOLE:
        return True
    if kind != MULTIPART:
        return False
    fields: Iterable[Any] = getattr(stream, "fields", (None,))
    return all(_rewinds(field) for field in fields)


def _kind_of(stream: type) -> str:
    """The name of the library's own class that reads such a stream, or nothing if somebody else's does.

    A class of the user's that is called ``ByteStream`` too, or has one of these read otherwise, proves nothing.
    """
    readers = {next((one for one in stream.__mro__ if read in vars(one)), object) for read in READS}
    if len(readers) != 1:
        return ""
    reader = readers.pop()
    return reader.__name__ if reader.__module__.partition(".")[0] in LIBRARIES else ""


def _rewinds(field: Any) -> bool:
    """Whether a field of a multipart body can be read again from its start."""
    held = getattr(field, "file", b"")
    if isinstance(held, (bytes, str)):
        return field is not None
    try:
        answer: object = callable(held.seek) and held.seekable()
        if inspect.iscoroutine(answer):
            answer.close()  # an async file; nobody will await it
        return answer is True
    except Exception:  # no such method, or a closed file
        return False
