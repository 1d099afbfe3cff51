"""The command ``resilix top``."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from resilix.top.fetch import Described, NotThereError, fetch
from resilix.top.merge import Merger, Picture
from resilix.top.view import plain, rich_view

DESCRIPTION = """\
Show the breakers, bulkheads and retry budgets of running services. Each URL is
the health endpoint (JSON of resilix.health()) or the metrics endpoint
(Prometheus) of one worker; workers are put together by the policies' names.
"""
LONGEST_INTERVAL = 3600.0


def add_to(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "top",
        help="the breakers of running services, refreshing",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("urls", nargs="+", metavar="URL", help="http://host:port/health or …/metrics")
    for name, what in (("--interval", "seconds between two looks"), ("--timeout", "seconds to wait for an answer")):
        parser.add_argument(name, type=_seconds, default=2.0, metavar="S", help=f"{what} (default 2)")
    parser.add_argument("--once", action="store_true", help="look twice, so that there are rates, print, and end")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 < seconds <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text} must be above 0 and at most {LONGEST_INTERVAL:g}")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Look, show, and wait, until somebody presses Ctrl-C. The status is 1 when --once found nobody."""
    for url in options.urls:
        if not url.startswith(("http://", "https://")):
            sys.stderr.write(f"resilix top: error: {url}: it is no URL; write http://127.0.0.1:8000/health\n")
            return 2
    watch = Watch(options.urls, options.timeout)
    try:
        if options.once:
            watch.look()
            time.sleep(min(options.interval, 1.0))
            picture = watch.look()
            sys.stdout.write(plain(picture) + "\n")
            return 0 if picture.answered else 1
        return _refresh(watch, options.interval)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        sys.stderr.close()  # or Python complains once more when it flushes
        return 0
    finally:
        watch.close()


def _refresh(watch: Watch, interval: float) -> int:
    live = _live() if sys.stdout.isatty() else None
    with live if live is not None else nullcontext():
        while True:
            picture = watch.look()
            if live is None:
                sys.stdout.write(plain(picture) + "\n\n")
                sys.stdout.flush()
            else:
                live.update(rich_view(picture), refresh=True)
            threading.Event().wait(interval)


def _live() -> Any:
    try:
        from rich.live import Live
    except ImportError:
        return None  # plain lines do as well
    return Live(auto_refresh=False, screen=True)


class Watch:
    """Asks all endpoints at once; one that hangs holds up nobody else, and is asked again when it has answered."""

    def __init__(self, urls: list[str], timeout: float) -> None:
        self._urls = list(dict.fromkeys(urls))
        self._timeout = timeout
        self._merger = Merger(time.monotonic)
        self._pool = ThreadPoolExecutor(max_workers=min(32, len(self._urls)), thread_name_prefix="resilix-top")

    def look(self) -> Picture:
        """Ask everybody once."""
        described: dict[str, Described] = {}
        errors: dict[str, str] = {}
        for url, answer in zip(self._urls, self._pool.map(self._ask, self._urls), strict=True):
            if isinstance(answer, str):
                errors[url] = answer
            else:
                described[url] = answer
        return self._merger.picture(described, errors)

    def _ask(self, url: str) -> Described | str:
        try:
            return fetch(url, self._timeout)
        except NotThereError as error:
            return str(error)

    def close(self) -> None:
        """Wait for nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)
