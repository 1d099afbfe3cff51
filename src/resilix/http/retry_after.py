"""Retry-After, RFC 9110 section 10.2.3: ``HTTP-date / delay-seconds``, and nothing else.

What is not legal is treated as absent: the schedule of the retry decides then. A server may be hostile or broken, so
nothing here raises, and nothing takes longer for a longer text.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 64
"""Characters; nothing longer is looked at."""
FURTHEST: Final = 9_999_999_999.0
"""Seconds; who asks for more than three hundred years does not mean it."""
MOST_LINES: Final = 8
"""More of them than this are an attack, not a mistake."""
DAYS: Final = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
LONG_DAYS: Final = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MONTH: Final = f"(?P<month>{'|'.join(MONTHS)})"
_TIME: Final = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
SECONDS: Final = re.compile(r"[0-9]+")
DATES: Final = (
    # RFC 9110 section 5.6.7: IMF-fixdate, and the two obsolete forms that a recipient has to accept.
    re.compile(rf"(?:{DAYS}), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"(?:{LONG_DAYS}), (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"(?:{DAYS}) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_retry_after(lines: Sequence[str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait; ``None`` when it does not, or not legally.

    Example::

        parse_retry_after(response.headers.get_list("retry-after"))

    The header may stand once only (RFC 9110 section 5.3). If it stands more than once, the longest wait is taken when
    all are legal, and none when one is not. The name of the day in a date is not compared with its number.

    Args:
        lines: The value of each line of the header, not split at commas: a list is not legal here.
        now: The wall clock, in seconds since the epoch, for dates; ``None`` to read it when there is a date.

    Returns:
        At least 0, and finite. It may be long: whoever waits needs a cap.
    """
    if len(lines) > MOST_LINES:
        return None
    longest: float | None = None
    for line in lines:
        seconds = _parse(line, now)
        if seconds is None:
            return None
        longest = seconds if longest is None else max(longest, seconds)
    return longest


def _parse(line: str, now: float | None) -> float | None:
    if len(line) > LONGEST:
        return None
    text = line.strip(" \t")
    if SECONDS.fullmatch(text):
        return _plausible(float(text))
    for form in DATES:
        found = form.fullmatch(text)
        if found is not None:
            clock = time.time() if now is None else now
            moment = _moment(found, clock)
            return None if moment is None else _plausible(max(0.0, moment - clock))
    return None


def _plausible(seconds: float) -> float | None:
    return seconds if seconds <= FURTHEST else None


def _moment(found: re.Match[str], now: float) -> float | None:
    """The date in seconds since the epoch; ``None`` for a day or time that does not exist."""
    year, month = int(found["year"]), MONTHS.index(found["month"]) + 1
    day, hour, minute, second = (int(found[name]) for name in ("day", "hour", "minute", "second"))
    if len(found["year"]) == 2:
        year = _full_year(year, (month, day, hour, minute, second), now)
    if year < 1 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    if hour > 23 or minute > 59 or second > 60:  # 60 is a leap second
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def _full_year(two_digits: int, rest: tuple[int, ...], now: float) -> int:
    """What seems more than 50 years ahead is the last year that ended so, RFC 9110 section 5.6.7."""
    today = time.gmtime(now)
    latest = today.tm_year + 50
    year = latest - (latest - two_digits) % 100
    return year - 100 if (year, *rest) > (latest, *today[1:6]) else year
