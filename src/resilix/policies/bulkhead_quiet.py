"""The quiet case of a bulkhead: take a place, and give it back.

It stands here once for interpreters with a GIL and once for those without, where places are at hand as tokens
(``core/tokens.py``). Between taking a place and the ``try:`` nothing may be called: an interrupt could strike there.
"""

from __future__ import annotations

from typing import Final

from resilix.attention import GIL

COUNTED: Final = """
places = queue
free = places.free
if not free and not (free := lend()):
    if refuses():
        raise refusal()
    result = PLAIN
else:
    places.free = free - 1
    try:
        result = INNER
    finally:
        if not places.busy:
            places.free += 1
        elif not places.waiting:
            places.kept += 1
        else:
            places.give_back()
"""

TOKENS: Final = """
try:
    token = queue.tokens.pop()
except IndexError:
    token = lend()
if token is None:
    if refuses():
        raise refusal()
    result = PLAIN
else:
    try:
        result = INNER
    finally:
        places = token.queue
        if places.busy:
            token.drop()
        else:
            places.tokens.append(token)
            if places.busy:
                places.absorb()
"""
"""A token goes back to where it is from: the queue may be exchanged while the call runs, or before it is lent."""

QUIET: Final = COUNTED if GIL else TOKENS
