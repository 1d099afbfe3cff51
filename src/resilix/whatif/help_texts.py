"""What the command line says about ``simulate`` and ``replay``."""

from __future__ import annotations

from typing import Final

SIMULATE_HELP: Final = "what candidates would do to the same traffic and trouble, side by side"

SIMULATE: Final = """\
Give several candidates the same traffic, and the same dependency with the same
trouble, in virtual time: the real policies, a modelled dependency, minutes of
traffic in seconds. CASE is a TOML file or a shipped case (see --list).
"""

SIMULATE_END: Final = """\
a file, in short (--show prints a whole one; docs/whatif.md has all keys):

  seconds = 180
  [load]
  rate = 70
  [dependency]
  capacity = 10                  # requests at once: 100/s, with
  service = "exponential(0.1)"   # seconds each
  [[trouble]]
  kind = "stall"                 # outage black_hole brown_out flapping cold_start
  start = 60
  seconds = 3
  [[candidate]]
  name = "naive retries"
  policies = [{ retry = { attempts = 4, wait = 0.05 } }, { timeout = 1.0 }]

exit status: 0 done, 1 an output could not be written, 2 nonsense in the file or
on the command line, 130 interrupted.
"""

REPLAY_HELP: Final = "what candidates would have done to recorded calls"

REPLAY: Final = """\
Give several candidates the calls of a log, in virtual time. Calls come when
they came. The first attempt of a call meets what was recorded for that call; a
further attempt meets what was recorded for the call nearest in time to it.

A recording does not get slower under more requests, nor better under fewer: it
shows what a candidate does to users, and how many requests it would make. What
those would do to the dependency is a question for resilix simulate.
"""

REPLAY_END: Final = """\
a log is CSV with the columns time,duration,outcome (others may stand beside
them), or JSON lines with these keys:
  time      when the call began: seconds, or ISO 8601 (UTC without an offset)
  duration  what it took, in seconds
  outcome   ok, success, true, a status below 400 | error, failure, false, a
            status from 500, 429, the name of an exception | timeout, 408, 504,
            the name of an exception with Timeout in it. Other statuses from 400
            are answers: ok.

Without --config the candidates are: as recorded, naive retries, and resilix
(retry with a budget, breaker, timeout of 1 s; all else by default).

exit status: 0 done, 1 an output could not be written, 2 nonsense in a file or
on the command line, 130 interrupted.
"""

CAVEAT: Final = (
    "First attempts meet what was recorded for their call, further ones what was recorded nearest in time; "
    "a recording does not get slower under more requests."
)
