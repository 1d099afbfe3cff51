"""The command ``resilix``, also ``python -m resilix``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Never

import resilix
from resilix.demo import command as demo
from resilix.telemetry.data import command as data
from resilix.top import command as top
from resilix.whatif import command as whatif

DESCRIPTION = """\
resilix keeps a Python service standing while something it depends on is
failing: circuit breaker, retry, timeout, bulkhead, fallback and deadline, for
def and async def. It is a library; this command shows what it does.
"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong and where help is."""

    def error(self, message: str) -> Never:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> tuple[_Parser, list[str]]:
    parser = _Parser(prog="resilix", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"resilix-toolkit {resilix.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo.add_to(commands)
    top.add_to(commands)
    data.add_to(commands)
    whatif.add_to(commands)
    return parser, list(commands.choices)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Example::

        sys.exit(main(["demo", "--seconds", "10"]))

    Args:
        arguments: Those of the command line by default.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser, known = _parser()
    if not given:
        parser.print_help()
        return 0
    if not given[0].startswith("-") and given[0] not in known:
        parser.error(f"there is no command {given[0]!r}; there is: {', '.join(known)}")
    options = parser.parse_args(given)
    if not hasattr(options, "run"):
        parser.error("a command is missing")
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
