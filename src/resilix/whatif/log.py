"""Reads recorded calls, line by line: CSV with a header, or JSON lines."""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, TypeAlias

from resilix.errors import ConfigurationError
from resilix.whatif.recording import ERROR, OK, TIMEOUT, Recording

KEYS: Final = ("time", "duration", "outcome")
LONGEST_LINE: Final = 65_536
"""Bytes; a longer line is none of a log, and would have to be kept in memory."""
LATEST: Final = 3e11
"""Seconds from 1970 to the year 9999 and some; a larger number was not meant as seconds."""
LONGEST_CALL: Final = 86_400.0

WENT_WELL: Final = frozenset({"ok", "success", "succeeded", "true"})
FAILED: Final = frozenset({"error", "failure", "failed", "false", "exception"})
TIMED_OUT: Final = frozenset({"timeout", "timed out", "timed_out", "timedout"})
TIMEOUT_STATUS: Final = frozenset({408, 504})
ERROR_STATUS: Final = frozenset({429})
EXCEPTIONS: Final = ("error", "exception", "failure")

Row: TypeAlias = tuple[Any, Any, Any]
"""Time, duration and outcome, as they were written."""


OPEN_QUOTE: Final = 'a quote opens here and is not closed; close it, and write one inside it twice: ""'


class BadLineError(ValueError):
    """What is wrong with a line, for :func:`read_log` to say where.

    Attributes:
        number: Which line, from 1; 0 for the one read last.
    """

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


@dataclass(frozen=True, slots=True)
class Log:
    """What was read.

    Attributes:
        recording: The calls.
        disordered: How many came earlier than the line before them.
    """

    recording: Recording
    disordered: int


def read_log(stream: BinaryIO, file: str, seen: Callable[[int], object] = lambda lines: None) -> Log:
    """Read all calls of a log.

    Args:
        stream: The log.
        file: What messages call it.
        seen: Is told, for each call, how many have been read.

    Raises:
        ConfigurationError: A line is bad, or there is none; the text begins with ``file:line:``.
    """
    lines = _Lines(stream)
    times, durations, outcomes = array("d"), array("d"), bytearray()
    disordered, last = 0, -math.inf
    try:
        for row in _rows(lines):
            moment = _time(row[0])
            durations.append(_duration(row[1]))
            outcomes.append(_outcome(row[2]))
            times.append(moment)
            disordered += moment < last
            last = moment
            seen(len(times))
    except (BadLineError, csv.Error) as error:
        number = (error.number if isinstance(error, BadLineError) else 0) or lines.number
        raise ConfigurationError(f"{file}:{number}: {error}") from None
    if not times:
        raise ConfigurationError(f"{file}: there is not one call in it; a log has a line for each: {EXAMPLE}")
    if disordered:
        times, durations, outcomes = _sorted(times, durations, outcomes)
    first = times[0]
    for place, moment in enumerate(times):
        times[place] = moment - first
    return Log(Recording(times, durations, outcomes), disordered)


EXAMPLE: Final = 'time,duration,outcome as CSV, or {"time": 0.0, "duration": 0.05, "outcome": "ok"}'


def _sorted(
    times: array[float], durations: array[float], outcomes: bytearray
) -> tuple[array[float], array[float], bytearray]:
    order = sorted(range(len(times)), key=times.__getitem__)
    return (
        array("d", (times[place] for place in order)),
        array("d", (durations[place] for place in order)),
        bytearray(outcomes[place] for place in order),
    )


class _Lines:
    """The lines of a stream as text; blank ones are left out.

    Attributes:
        number: Of the line given last, from 1.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(LONGEST_LINE + 1):
            self.number += 1
            if len(line) > LONGEST_LINE:
                raise BadLineError(f"the line is longer than {LONGEST_LINE:,} bytes, so this is no log of calls")
            try:
                text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise BadLineError("the line is not UTF-8") from None
            if text.strip():
                yield text


def _rows(lines: _Lines) -> Iterator[Row]:
    texts = iter(lines)
    first = next(texts, None)
    if first is None:
        return
    if first.lstrip().startswith("{"):
        yield _from_json(first)
        yield from map(_from_json, texts)
    else:
        yield from _from_csv(first, _csv_rows(lines, texts))


def _from_json(text: str) -> Row:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadLineError(f"this is no JSON object: {said}") from None
    if not isinstance(values, dict):
        raise BadLineError(f"this must be an object with {', '.join(KEYS)}; it is {_short(values)}")
    missing = [key for key in KEYS if key not in values]
    if missing:
        raise BadLineError(f"{missing[0]} is missing; each line has {', '.join(KEYS)}")
    return values["time"], values["duration"], values["outcome"]


def _csv_rows(lines: _Lines, texts: Iterator[str]) -> Iterator[list[str]]:
    """The rows below the head. One of several lines must be properly quoted: else it has swallowed calls."""
    own: list[tuple[int, str]] = []

    def noted() -> Iterator[str]:
        for text in texts:
            own.append((lines.number, text))
            yield text

    rows = csv.reader(noted())
    while True:
        try:
            row = next(rows, None)
            if len(own) > 1:
                deque(csv.reader([text for _, text in own], strict=True), 0)
        except csv.Error as error:
            raise BadLineError(str(error) if len(own) < 2 else OPEN_QUOTE, own[0][0]) from None
        if row is None:
            return
        own.clear()
        yield row


def _from_csv(first: str, rows: Iterator[list[str]]) -> Iterator[Row]:
    if first.lstrip().startswith("["):
        raise BadLineError("this is a JSON array; a log has one object a line, as jq -c '.[]' writes them")
    if "\r" in first.strip():
        raise BadLineError("the lines end with a carriage return alone, and must end with a line feed")
    head = [one.strip().lower() for one in next(csv.reader([first]))]
    missing = [key for key in KEYS if key not in head]
    if missing:
        raise BadLineError(
            f"the first line must name the columns {', '.join(KEYS)}, with commas between, in any order and with "
            f"others if you like; {missing[0]} is missing in {_short(first.strip())}"
        )
    places = [head.index(key) for key in KEYS]
    for row in rows:
        if len(row) != len(head):
            raise BadLineError(f"there are {len(row)} values, and the first line names {len(head)} columns")
        yield row[places[0]], row[places[1]], row[places[2]]


def _number(value: Any) -> float | None:
    """A finite number; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _time(value: Any) -> float:
    number = _number(value)
    if number is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
            number = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            number = None
    if number is None:
        raise BadLineError(
            f"time is {_short(value)}: it must be seconds or ISO 8601, as 12.5 or 2026-11-26T03:12:00.250Z"
        )
    if abs(number) > LATEST:
        raise BadLineError(
            f"time is {_short(value)}: as seconds that is after the year 9999; divide milliseconds by 1000"
        )
    return number


def _duration(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= LONGEST_CALL:
        why = "it must be seconds, 0 or more and at most a day, as 0.250"
        raise BadLineError(f"duration is {_short(value)}: {why}")
    return number


def _outcome(value: Any) -> int:
    known = _KNOWN.get(value) if isinstance(value, str) else None
    if known is not None:
        return known
    if isinstance(value, bool):
        return OK if value else ERROR
    status = _number(value)
    if status is not None and status == int(status) and 100 <= status <= 599:
        return _of_status(int(status))
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _KNOWN:
        return _KNOWN[word]
    # The name of an exception, perhaps with its module: httpx.ReadTimeout, ConnectionResetError.
    if word and all(part.isidentifier() for part in word.split(".")):
        if "timeout" in word:
            return TIMEOUT
        if word.endswith(EXCEPTIONS):
            return ERROR
    raise BadLineError(
        f"outcome is {_short(value)}: it must be ok, error, timeout, an HTTP status, or the name of an exception "
        "as ConnectionError"
    )


_KNOWN: Final = {
    **dict.fromkeys(WENT_WELL, OK),
    **dict.fromkeys(FAILED, ERROR),
    **dict.fromkeys(TIMED_OUT, TIMEOUT),
}


def _of_status(status: int) -> int:
    if status in TIMEOUT_STATUS:
        return TIMEOUT
    return ERROR if status >= 500 or status in ERROR_STATUS else OK


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
