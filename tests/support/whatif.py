"""Helpers of the tests of ``resilix simulate`` and ``resilix replay``."""

from __future__ import annotations

import contextlib
import io
from functools import cache

from resilix.__main__ import main
from resilix.testing.simulation import Result
from resilix.whatif import shipped
from resilix.whatif.play import Progress, play
from resilix.whatif.scenario import scenario_of

SOUND = """\
title = "sound"
seconds = 20
[load]
rate = 20
[dependency]
capacity = 5
service = 0.1
[[trouble]]
kind = "outage"
start = 5
seconds = 5
[[candidate]]
name = "retry"
policies = [{ retry = { attempts = 2, wait = 0.1 } }, { timeout = 1.0 }]
"""
"""A file without a mistake."""


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def said(*arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process: its exit status, what it prints, and what it complains about."""
    out, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
    return status, out.getvalue(), complaints.getvalue()


@cache
def played(case: str, seed: int) -> dict[str, Result]:
    """The results of a shipped case, by the names of its candidates; each is played once for all tests."""
    scenario = scenario_of(shipped.read(case), case)
    results = play(
        scenario.candidates,
        scenario.load,
        scenario.dependency,
        seconds=scenario.seconds,
        seed=seed,
        progress=Progress(io.StringIO()),
    )
    return {one.name: one for one in results}
