"""How steps are written down: their headers, their big bodies, and the text that shows one as it was written."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from resilix.core.options import refuse
from resilix.testing.fault_http import CONTROL, NAME, Pairs, head_of

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
Informational: TypeAlias = Iterable[int | tuple[int, Headers]]

ZEROS: Final = 1 << 20
SHOWN: Final = 40
"""Characters of one option that are shown."""


def as_pairs(owner: str, headers: Headers | None) -> Pairs:
    """Read headers as a script gives them.

    Raises:
        ConfigurationError: They are no mapping and no pairs, or cannot stand in a head.
    """
    if headers is None:
        return ()
    given: Any = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    hint = 'write headers={"Retry-After": "2"}, or pairs; steps.raw(…) sends any bytes'
    try:
        pairs = [(name, value) for name, value in given]
    except (TypeError, ValueError):
        raise refuse(f"steps.{owner}", "headers", headers, "it is a mapping, or a list of pairs", hint) from None
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise refuse(f"steps.{owner}", "headers", headers, "names and values of headers are text", hint)
        if not NAME.fullmatch(_bytes(name)) or not _bytes(value + " ") or CONTROL.search(_bytes(value)):
            raise refuse(f"steps.{owner}", "headers", headers, f"{name!r}: {value!r} cannot stand in a head", hint)
    return tuple(pairs)


def as_heads(owner: str, informational: Informational | None) -> bytes:
    """Read informational answers as a script gives them, and give them as they go out.

    Raises:
        ConfigurationError: One is no answer before the answer (RFC 9110, section 15.2), or 101, which ends HTTP.
    """
    heads: list[bytes] = []
    given: Any = () if informational is None else informational
    why, hint = "it lists statuses of 100 to 199 without 101, alone or with headers", "write informational=[103]"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise refuse(f"steps.{owner}", "informational", given, why, hint)
    for one in given:
        status, headers = one if isinstance(one, tuple) and len(one) == 2 else (one, None)
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 199 or status == 101:
            raise refuse(f"steps.{owner}", "informational", one, why, hint)
        heads.append(head_of(status, as_pairs(owner, headers)))
    return b"".join(heads)


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b""


@lru_cache(maxsize=4)
def bomb(size: int) -> bytes:
    """``size`` zero bytes packed by gzip, made piece by piece.

    A full flush makes a packed piece independent of what came before, so one stands for all of its kind.
    """
    zeros = bytes(min(ZEROS, size))
    whole, rest = divmod(size, ZEROS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = last.compress(zeros[:rest]) + last.flush()
    check = 0
    for _ in range(whole):
        check = zlib.crc32(zeros, check)
    check = zlib.crc32(zeros[:rest], check)
    head = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"  # RFC 1952: gzip, deflate, no flags, no time, best, no system
    tail = check.to_bytes(4, "little") + (size % (1 << 32)).to_bytes(4, "little")
    return b"".join((head, piece * whole, end, tail))


def written(make: Callable[..., Any], *first: Any, **given: Any) -> str:
    """The call that makes a step, without the options that say what they say anyway, and not longer than a line."""
    defaults = {name: one.default for name, one in inspect.signature(make).parameters.items()}
    texts = [_short(value) for value in first]
    for name, value in given.items():
        if value != defaults[name] or defaults[name] is inspect.Parameter.empty:
            texts.append(_short(value) if name in ("at", "events", "data") else f"{name}={_short(value)}")
    return f"{make.__name__}({', '.join(texts)})"


def _short(value: Any) -> str:
    if isinstance(value, bytes) and len(value) > SHOWN:
        return f"{len(value)} bytes"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
