"""The pytest plugin: fresh policies for each test, virtual time, recorded events, and faults.

It stands beside the package and not in it, as hypothesis's does: pytest loads it in every run of everybody who has
resilix installed, and importing a module of a package runs the package. So nothing of resilix is imported here before a
test asks for it. ``docs/pytest.md`` says how it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from resilix.testing.recorder import EventRecording
    from resilix.testing.virtual import VirtualTime

MARKER = "resilix"
TIMES = ("virtual", "real")
OPTIONS = {
    "fresh": 'fresh=True or False: whether the test begins with policies "as made"',
    "time": 'time="virtual" or "real": whether waits of policies take no time',
    "foreign_sleeps": "foreign_sleeps=True or False: whether sleeps that are no policy's take no time either",
    "seed": "seed=<an integer>: the jitter is the same on every run",
}
CLOCK, EVENTS, FAULTS = "resilix_clock", "resilix_events", "resilix_faults"


class Tools:
    """What one test uses.

    Attributes:
        undo: Ends it.
        clock: Its virtual time, if it has one.
        events: The record of what its policies do, if there is one; it is kept for the report.
    """

    __slots__ = ("_foreign_sleeps", "clock", "events", "undo")

    def __init__(self) -> None:
        self.undo = ExitStack()
        self.clock: VirtualTime | None = None
        self.events: EventRecording | None = None
        self._foreign_sleeps = False

    def begin(self, *, virtual: bool, seed: int | None, foreign_sleeps: bool) -> None:
        """Take them up: time first, so that the record has its moments."""
        from resilix.clock import seeded

        self._foreign_sleeps = foreign_sleeps

        if seed is not None:
            self.undo.enter_context(seeded(seed))
        if virtual:
            self.virtual_time()
        self.record()

    def virtual_time(self) -> VirtualTime:
        """The virtual time of this test, from now on at the latest."""
        if self.clock is None:
            from resilix.testing import virtual_time

            self.clock = self.undo.enter_context(virtual_time(foreign_sleeps=self._foreign_sleeps))
        return self.clock

    def record(self) -> EventRecording:
        """The record of this test, from now on at the latest."""
        if self.events is None:
            from resilix.testing import record_events

            self.events = self.undo.enter_context(record_events())
        return self.events


TOOLS = pytest.StashKey[Tools]()


# -- options -------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what may be set once for all tests."""
    parser.addini("resilix_fresh", "begin each test with the policies as they were made", type="bool", default=True)
    parser.addini("resilix_time", 'whether waits of policies take no time: "virtual" or "real"', default="real")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and look at what was set."""
    config.addinivalue_line("markers", f"{MARKER}({', '.join(OPTIONS)}): {'; '.join(OPTIONS.values())}")
    time = config.getini("resilix_time")
    if time not in TIMES:
        raise pytest.UsageError(f'resilix_time = {time!r}: write "virtual" or "real"')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say what is wrong with a marker before any test runs."""
    _marks_of(metafunc.definition)


def _marks_of(node: pytest.Item) -> list[pytest.Mark]:
    """The markers of a test, the nearest first, if nothing is wrong with them."""
    marks = list(node.iter_markers(MARKER))
    for mark in marks:
        mistake = _mistake(mark)
        if mistake is not None:
            pytest.fail(f"{node.name}: {mistake}", pytrace=False)  # as pytest does for a wrong parametrize
    return marks


def _mistake(mark: pytest.Mark) -> str | None:
    if mark.args:
        return f"@pytest.mark.{MARKER}({mark.args[0]!r}): its options are given by name: {', '.join(OPTIONS)}"
    for name, value in mark.kwargs.items():
        if name not in OPTIONS:
            return f"@pytest.mark.{MARKER}({name}=…): there is no such option; there are {', '.join(OPTIONS)}"
        if (
            (name in ("fresh", "foreign_sleeps") and not isinstance(value, bool))
            or (name == "time" and value not in TIMES)
            or (name == "seed" and (not isinstance(value, int) or isinstance(value, bool)))
        ):
            return f"@pytest.mark.{MARKER}({name}={value!r}): write {OPTIONS[name]}"
    return None


def _chosen(marks: Iterable[pytest.Mark]) -> dict[str, Any]:
    """The options of all markers of a test; the nearest to it decides."""
    chosen: dict[str, Any] = {}
    for mark in marks:
        for name, value in mark.kwargs.items():
            chosen.setdefault(name, value)
    return chosen


# -- each test -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _resilix(request: pytest.FixtureRequest) -> Generator[Tools]:
    """Fresh policies, and what the test asks for besides.

    A fixture, and not a hook: it comes after the fixtures of a wider scope, which may wait for something real, and
    before all others of the test, and before its event loop runs.
    """
    item: pytest.Item = request.node
    marks = _marks_of(item)
    chosen, names = _chosen(marks), request.fixturenames
    fresh = chosen.get("fresh", request.config.getini("resilix_fresh"))
    virtual = CLOCK in names or chosen.get("time", request.config.getini("resilix_time")) == "virtual"
    if CLOCK in names and chosen.get("time") == "real":
        pytest.fail(f'{CLOCK} is a virtual clock, and the marker says time="real"; leave one out', pytrace=False)
    foreign_sleeps = chosen.get("foreign_sleeps", False)
    if foreign_sleeps and not virtual:
        pytest.fail(f'foreign_sleeps=True needs virtual time; add time="virtual", or ask for {CLOCK}', pytrace=False)
    tools = Tools()
    with tools.undo:
        if marks or virtual or EVENTS in names or FAULTS in names:
            item.stash[TOOLS] = tools
            seed = chosen.get("seed")
            if seed is not None:
                _seed_call(item, seed, tools.undo)
            tools.begin(virtual=virtual, seed=seed, foreign_sleeps=foreign_sleeps)
        if fresh:
            _as_made()
        yield tools
    if fresh and tools.clock is not None:
        _as_made()  # what they have written down by that clock means nothing by the real one


def _as_made() -> None:
    if sys.modules.get("resilix") is not None:
        from resilix.testing import reset_policies

        reset_policies()


def _seed_call(item: pytest.Item, seed: int, undo: ExitStack) -> None:
    """Seed once more just before the test itself: pytest-randomly seeds anew after the fixtures."""
    from resilix.clock import seeded

    run = item.runtest

    def runtest() -> None:
        with seeded(seed):
            run()

    item.runtest = runtest  # type: ignore[method-assign]  # of this item alone, and undone below
    undo.callback(delattr, item, "runtest")


@pytest.fixture
def resilix_clock(_resilix: Tools) -> VirtualTime:
    """The virtual clock of this test: waits of policies take no time, ``sleeps`` lists them, ``advance()`` moves it."""
    return _resilix.virtual_time()


@pytest.fixture
def resilix_events(_resilix: Tools) -> EventRecording:
    """A record of what the policies do in this test, with assertions such as ``assert_sequence("retry", "opened")``."""
    return _resilix.record()


@pytest.fixture
def resilix_faults(_resilix: Tools) -> Generator[Any]:
    """The module ``resilix.testing.faults``, switched on for this test."""
    from resilix.testing import faults

    with faults.enabled():
        yield faults


# -- reports -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)  # the older form: a plugin that pytest cannot load stops every run of its user
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any]:
    """Show what the policies did where a test that looks at them has failed."""
    outcome = yield
    if outcome.excinfo is not None or TOOLS not in item.stash:
        return
    report: pytest.TestReport = outcome.get_result()
    events = item.stash[TOOLS].events
    if report.failed and events is not None:
        report.sections.append(("resilix timeline", str(events)))
