"""Opens a log, wherever it is and gzipped or not, and says how far the reading is."""

from __future__ import annotations

import gzip
import os
import sys
import time
import zlib
from io import BufferedReader
from typing import BinaryIO, cast

from resilix.errors import ConfigurationError
from resilix.whatif.log import Log, read_log
from resilix.whatif.play import LOOK, Progress

GZIP = b"\x1f\x8b"


def open_log(path: str, progress: Progress) -> Log:
    """Read a log from a file, or from standard input.

    Args:
        path: The file; ``-`` for standard input.
        progress: Is told how far it is.

    Raises:
        ConfigurationError: It cannot be read, or a line of it is bad.
    """
    if not path:
        raise ConfigurationError("what is to be replayed? Give a log, or - for standard input")
    file = "standard input" if path == "-" else path
    try:
        if path == "-":
            if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # closed when the process was started
                raise ConfigurationError("standard input is closed; give it a log, or name a file")
            return _read(cast(BufferedReader, sys.stdin.buffer), file, 0, progress)
        with open(path, "rb") as raw:
            return _read(raw, file, os.fstat(raw.fileno()).st_size, progress)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigurationError(f"{file}: it begins like gzip, and cannot be unpacked: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:  # a null byte in the path
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{file!r}: {error}") from None
    finally:
        progress.clear()


def _read(raw: BufferedReader, file: str, size: int, progress: Progress) -> Log:
    begin = time.monotonic()

    def seen(count: int) -> None:
        if count % LOOK == 0 and progress.due():
            share = f"{raw.tell() / size:.0%}, " if size else ""
            progress.say(f"reading {file}: {share}{count:,} calls, {count / (time.monotonic() - begin):,.0f}/s")

    packed = raw.peek(2)[:2] == GZIP
    stream = gzip.GzipFile(fileobj=raw) if packed else raw
    return read_log(cast(BinaryIO, stream), file, seen)
