"""The command line of the demo."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from resilix.demo.settings import Settings

NEEDED = ("httpx", "matplotlib", "rich")
SECONDS = (5.0, 600.0)
RATE = (10.0, 100.0)

DESCRIPTION = """\
One outage, lived through twice at the same time: by plain httpx with a retry
loop, and by the same calls in a resilix pipeline (fallback > retry with a
budget > circuit breaker > bulkhead > timeout).

Each side has a server of its own on 127.0.0.1, in its own process, with the
same script: healthy (2% errors), down (half of the calls hang, half get a
503), sick (slow answers, 30% errors), healthy again. Each side makes its
requests at the same moments, with the same timeout and number of attempts.
Everything is measured as it happens; every server counts the calls it had to
bear. A server works on a fixed number of calls at once, the others wait, and
what it began it ends, even when the client has given up: as most servers do.
"""

EPILOG = """\
exit status: 0 the guarded side kept its promises (listed at the end), 1 it
broke one or the demo could not run, 2 nonsense on the command line or a
missing library, 130 interrupted.
"""


def add_to(commands: Any) -> None:
    """Add ``demo`` to the subcommands of an argument parser."""
    demo = commands.add_parser(
        "demo",
        help="an outage, with and without resilix, side by side (about 25 s)",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--seconds", type=_number("seconds", *SECONDS), default=25.0, metavar="S",
        help="length of the run (default 25); below 25 timeouts and waits get shorter too",
    )  # fmt: skip
    demo.add_argument(
        "--rate", type=_number("requests per second", *RATE), default=40.0, metavar="R",
        help="requests per second on each side (default 40); more than 100 would measure httpx, not the policies",
    )  # fmt: skip
    demo.add_argument(
        "--seed",
        type=_whole,
        default=1,
        metavar="N",
        help="decides the luck of each call, the same for both (default 1)",
    )
    demo.add_argument(
        "--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where demo.png goes (default ./demo-out)"
    )
    demo.set_defaults(run=run)


def _number(what: str, least: float, most: float) -> Any:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:  # NaN is not either
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what} from {least:g} to {most:g}")
        return value

    return read


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def run(options: argparse.Namespace) -> int:
    """Play the demo as the command line says. The exit status."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f'resilix demo needs {" and ".join(missing)}: pip install "resilix-toolkit[demo]" brings everything',
            file=sys.stderr,
        )
        return 2
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"resilix demo: error: --out {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    return _play(Settings(seconds=options.seconds, rate=options.rate, seed=options.seed), options.out)


def _play(settings: Settings, out: Path) -> int:
    from resilix.demo.processes import ProcessFailedError
    from resilix.demo.run import play  # needs the extra

    signal.signal(signal.SIGTERM, _terminated)
    try:
        return play(settings, out)
    except KeyboardInterrupt:
        print("\nInterrupted: the servers and clients were stopped.", file=sys.stderr)
        return 130
    except ProcessFailedError as error:
        print(f"resilix demo could not run: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has gone (resilix demo | head). Keep the interpreter's exit from complaining again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _terminated(number: int, frame: FrameType | None) -> None:
    # As an exception it unwinds everything, so the processes are stopped.
    raise SystemExit(128 + number)
