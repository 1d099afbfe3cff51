"""What is said on standard output and standard error, whatever they are: a terminal, a full disk, nothing at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class NotWrittenError(Exception):
    """An output could not be written; the text says which, and is empty where nobody reads it any more."""


def put(text: str) -> None:
    """Print a text, as it is.

    Raises:
        NotWrittenError: Standard output is closed, or full, or whoever read it has gone.
    """
    out = sys.stdout
    # Python has None where a process was started without the stream.
    if out is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise NotWrittenError("standard output is closed")
    try:
        out.write(_as_written(text, out.encoding))
        out.flush()
    except OSError as error:
        # What is still in the buffer would be tried again at the exit of the interpreter, and complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        gone = isinstance(error, BrokenPipeError)
        raise NotWrittenError("" if gone else f"standard output: {error.strerror}") from None


@contextmanager
def written(path: Path) -> Generator[None]:
    """Say which file it was that could not be written; the system does not say so of a full disk.

    Raises:
        NotWrittenError: It could not.
    """
    try:
        yield
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror or error}") from None


def _as_written(text: str, encoding: str | None) -> str:
    """A text in which what the encoding does not have is written as an escape: names may be in any language."""
    code = encoding or "utf-8"
    return text.encode(code, "backslashreplace").decode(code)


def complain(text: str) -> None:
    """Write to standard error, if there is one."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  # as above
        sys.stderr.write(text)
