"""The commands ``resilix dashboard`` and ``resilix rules``: print what comes with the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resilix.telemetry.data import dashboard, rules


def add_to(commands: Any) -> None:
    """Add both commands to the command line."""
    for name, text, make in (
        ("dashboard", "a Grafana dashboard, as JSON to import", dashboard),
        ("rules", "recording and alert rules for Prometheus, as YAML", rules),
    ):
        parser = commands.add_parser(name, help=text, description=f"Print {text}.")
        parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write it there instead of printing it")
        parser.set_defaults(run=_printer(name, make))


def _printer(name: str, make: Callable[[], str]) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        try:
            if options.output is None:
                sys.stdout.write(make())
                sys.stdout.flush()
            else:
                options.output.write_text(make(), encoding="utf-8")
        except BrokenPipeError:
            sys.stderr.close()  # or Python complains once more when it flushes
        except OSError as error:
            sys.stderr.write(f"resilix {name}: error: {options.output}: {error.strerror}\n")
            return 1
        return 0

    return run
