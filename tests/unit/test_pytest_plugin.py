"""The pytest plugin, as pytest loads it: in runs of their own, with the entry point of pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from textwrap import dedent
from typing import Any

import pytest
from tests.support.pytest_runs import ROOT, Project

from resilix.testing.simulation import poisson, simulate, table


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A directory with a module of policies and no tests yet."""
    return Project(pytester, monkeypatch)


BROKEN_BEFORE = """
@pytest.mark.parametrize("number", range(3))
def test_opens(number):
    assert (shop.quotes.state, shop.quotes.totals().failure, shop.slots.free) == ("closed", 0, 1)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            shop.price()
    assert shop.quotes.state == "open"
    shop.slots.acquire()
"""
"""Opens the breaker and keeps the only place."""


# -- fresh policies ------------------------------------------------------------------------------------------------


def test_each_test_begins_with_policies_as_made(project: Project) -> None:
    """Without a line in the tests: decorated functions of a module that all of them share."""
    project.tests(BROKEN_BEFORE)
    project.run().assert_outcomes(passed=3)


def test_fresh_policies_can_be_switched_off_and_on_again(project: Project) -> None:
    """For all tests by a setting, for some by the marker; the nearest decides."""
    project.tests(BROKEN_BEFORE)
    project.settings("resilix_fresh = false")
    project.run().assert_outcomes(passed=1, failed=2)
    project.tests("pytestmark = pytest.mark.resilix(fresh=True)\n" + BROKEN_BEFORE)
    project.run().assert_outcomes(passed=3)
    project.settings()
    project.tests(
        BROKEN_BEFORE
        + dedent("""
            @pytest.mark.resilix(fresh=True)
            class TestOthers:
                @pytest.mark.resilix(fresh=False)
                def test_as_it_was_left(self):
                    assert shop.quotes.state == "open"

                def test_as_made(self):
                    assert shop.quotes.state == "closed"
            """)
    )
    project.run().assert_outcomes(passed=5)


def test_what_a_fixture_of_the_test_does_to_a_policy_stays(project: Project) -> None:
    """The reset comes before the fixtures of the test, whatever their order; also for unittest."""
    project.tests(
        dedent("""
            import unittest

            @pytest.fixture(autouse=True)
            def aaa_forced():
                shop.quotes.force_open()

            def test_it():
                assert shop.quotes.state == "open"

            class TestOther(unittest.TestCase):
                def setUp(self):
                    assert shop.quotes.state == "open"
                    shop.quotes.close()

                def test_it(self):
                    self.assertEqual(shop.quotes.state, "closed")
            """)
    )
    project.run().assert_outcomes(passed=2)


def test_what_a_test_did_by_a_virtual_clock_is_not_left_behind(project: Project) -> None:
    """A wider fixture that ends after it finds policies as made, though nothing resets them afterwards otherwise."""
    project.tests(
        dedent("""
            @pytest.fixture(scope="module")
            def closed_in_the_end():
                yield
                assert shop.quotes.state == "closed"
                assert shop.quotes.snapshot().since > 0

            def test_it(closed_in_the_end, resilix_clock):
                assert shop.quotes.snapshot().since == 0.0
                resilix_clock.advance(7.0)
                shop.quotes.force_open()
            """)
    )
    project.run().assert_outcomes(passed=1)


# -- time ----------------------------------------------------------------------------------------------------------

WITH_ASYNCIO = """
import pytest_asyncio
from resilix.runtime import RUNTIME

@pytest.fixture(scope="module")
def real():
    return not RUNTIME.driver.virtual

@pytest_asyncio.fixture
async def waited():
    with pytest.raises(ConnectionError):
        await shop.aprice()

@pytest.mark.asyncio
async def test_fixture(real, waited, resilix_clock):
    assert real
    assert resilix_clock.now() == 20.0
    with pytest.raises(ConnectionError):
        await shop.aprice()
    assert resilix_clock.sleeps == [10.0] * 4

@pytest.mark.resilix(time="virtual")
@pytest.mark.asyncio
async def test_marker(waited):
    assert RUNTIME.driver.virtual

def test_real():
    assert not RUNTIME.driver.virtual
"""
WITH_ANYIO = """
from resilix.runtime import RUNTIME

@pytest.fixture
async def waited():
    with pytest.raises(ConnectionError):
        await shop.aprice()
    yield
    with pytest.raises(ConnectionError):
        await shop.aprice()

@pytest.mark.anyio
async def test_fixture(waited, resilix_clock, resilix_events):
    with pytest.raises(ConnectionError):
        await shop.aprice()
    assert resilix_clock.now() == 40.0
    resilix_events.assert_counts(attempt_failed=6, gave_up=2)

@pytest.mark.resilix(time="virtual")
@pytest.mark.anyio
async def test_marker(waited):
    assert RUNTIME.driver.virtual
"""


def test_the_clock_runs_before_the_event_loop_of_the_test_does(project: Project) -> None:
    """Async fixtures wait virtually too, under pytest-asyncio and under anyio's plugin on both backends."""
    project.tests(WITH_ASYNCIO)
    project.run("-p", "no:anyio").assert_outcomes(passed=3)
    project.tests(WITH_ANYIO)
    result = project.run("-p", "no:asyncio", "-W", "ignore:Unknown config option", "-v")
    result.assert_outcomes(passed=4)
    assert "test_fixture[trio]" in result.stdout.str()


def test_time_is_chosen_by_setting_marker_or_fixture(project: Project) -> None:
    """A setting for all; the marker takes single tests out of it; a fixture may be asked for late."""
    project.settings("resilix_time = virtual")
    project.tests(
        dedent("""
            import unittest
            from resilix.runtime import RUNTIME

            def test_virtual(resilix_clock):
                with pytest.raises(ConnectionError):
                    shop.haggle()
                assert resilix_clock.now() == pytest.approx(sum(resilix_clock.sleeps))

            @pytest.mark.resilix(time="real")
            def test_real(request):
                assert not RUNTIME.driver.virtual

            class TestAll(unittest.IsolatedAsyncioTestCase):
                async def test_it(self):
                    with self.assertRaises(ConnectionError):
                        await shop.aprice()
            """)
    )
    project.run().assert_outcomes(passed=3)
    project.settings()
    project.tests(
        dedent("""
            from resilix.runtime import RUNTIME

            def test_late(request):
                assert not RUNTIME.driver.virtual
                assert request.getfixturevalue("resilix_clock").now() == 0.0
                assert RUNTIME.driver.virtual
                events = request.getfixturevalue("resilix_events")
                with pytest.raises(ConnectionError):
                    shop.haggle()
                events.assert_counts(retry=4)

            def test_over():
                assert not RUNTIME.driver.virtual

            @pytest.mark.resilix(time="real")
            def test_contradiction(resilix_clock):
                pass
            """)
    )
    result = project.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(['*resilix_clock is a virtual clock, and the marker says time="real"*'])


def test_a_seed_makes_the_jitter_of_a_test_repeatable(project: Project) -> None:
    """Although pytest-randomly seeds anew for each run and test; for fixtures, functions, and unittest."""
    project.tests(
        dedent("""
            import unittest
            pytestmark = pytest.mark.resilix(seed=11, time="virtual")

            @pytest.fixture
            def before(resilix_clock):
                with pytest.raises(ConnectionError):
                    shop.haggle()

            def test_waits(before, resilix_clock):
                with pytest.raises(ConnectionError):
                    shop.haggle()
                print("WAITS", resilix_clock.sleeps)

            class TestOld(unittest.TestCase):
                @pytest.fixture(autouse=True)
                def clock(self, resilix_clock):
                    self.clock = resilix_clock

                def test_waits(self):
                    with pytest.raises(ConnectionError):
                        shop.haggle()
                    print("WAITS", self.clock.sleeps)
            """)
    )
    seen: list[list[str]] = []
    for seed in ("1", "2"):
        result = project.pytester.runpytest_subprocess("-s", f"--randomly-seed={seed}")
        result.assert_outcomes(passed=2)
        seen.append(sorted(re.findall(r"WAITS (\[.*\])", result.stdout.str())))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


# -- faults --------------------------------------------------------------------------------------------------------


def test_faults_are_switched_on_for_the_test_that_asks(project: Project) -> None:
    """And for no other; that they are is no news in the record, what they do is."""
    project.tests(
        dedent("""
            def test_injected(resilix_faults, resilix_clock, resilix_events):
                resilix_events.assert_none()
                with resilix_faults.inject("offer", resilix_faults.error(OSError)):
                    with pytest.raises(OSError):
                        shop.offer()
                resilix_events.assert_counts(fault=1, retry=0, faults_switched=1)

            def test_others():
                from resilix import ConfigurationError
                from resilix.testing import faults
                with pytest.raises(ConfigurationError, match="switched off"):
                    faults.inject("offer", faults.error(OSError))
            """)
    )
    project.run().assert_outcomes(passed=2)


# -- reports -------------------------------------------------------------------------------------------------------

FAILING = """
def test_recorded(resilix_clock, resilix_events):
    with pytest.raises(ConnectionError):
        shop.offer()
    resilix_events.assert_sequence("attempt failed", "retry", "attempt failed", "gave up")

@pytest.mark.resilix(time="virtual")
def test_marked():
    with pytest.raises(ConnectionError):
        shop.offer()
    assert False

def test_unrelated():
    with pytest.raises(ConnectionError):
        shop.price()
    assert False

def test_good(resilix_events):
    with pytest.raises(ConnectionError):
        shop.price()
    resilix_events.assert_none("opened")
"""


@pytest.mark.parametrize("ci", [False, True], ids=["desk", "ci"])
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_failure_shows_what_the_policies_did(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], ci: bool
) -> None:
    """In a section of its own, for tests that use any of the tools; the assertion shows where it broke. No header."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    project.tests(FAILING)
    result = project.run(*arguments)
    result.assert_outcomes(passed=1, failed=3)
    # The summary repeats whole messages where the environment says CI, and their first lines elsewhere.
    text = result.stdout.str().partition("= short test summary info =")[0]
    assert "E       AssertionError: expected gave up, found: waits 10.000" in text
    assert re.search(r"E +>   10\.000  retry offer +waits 10\.000\nE +\^ gave up was expected here\n", text)
    assert text.count("- resilix timeline -") == 2
    assert text.count(" 20.000  retry offer  gave up after 3 attempts (attempts): ConnectionError") == 3
    assert "recorder.py" not in text, "the frames of an assertion are ours, and nobody wants to see them"
    header = [line for line in text.partition("= FAILURES =")[0].splitlines() if "plugins:" not in line]
    assert not [line for line in header if "resilix" in line]


def test_sleeps_of_the_code_under_test_take_no_time_where_a_marker_says_so(project: Project) -> None:
    """Only there, and only where time is virtual."""
    project.tests(
        dedent("""
            import time

            @pytest.mark.resilix(foreign_sleeps=True)
            def test_foreign(resilix_clock):
                time.sleep(3600)
                assert (resilix_clock.now(), resilix_clock.foreign_sleeps) == (3600.0, [3600.0])

            def test_real(resilix_clock):
                time.sleep(0.001)
                assert resilix_clock.now() == 0.0

            @pytest.mark.resilix(foreign_sleeps=True)
            def test_without_virtual_time():
                pass
            """)
    )
    result = project.run()
    result.assert_outcomes(passed=2, errors=1)
    assert 'foreign_sleeps=True needs virtual time; add time="virtual", or ask for resilix_clock' in result.stdout.str()


# -- mistakes ------------------------------------------------------------------------------------------------------


MISTAKES = {
    "resilix(retries=False)": "resilix(retries=…): there is no such option; there are fresh, time, ",
    "resilix(fresh='no')": "resilix(fresh='no'): write fresh=True or False",
    "resilix(time='fast')": 'resilix(time=\'fast\'): write time="virtual" or "real"',
    "resilix(foreign_sleeps=1)": "resilix(foreign_sleeps=1): write foreign_sleeps=True or False",
    "resilix(seed=True)": "resilix(seed=True): write seed=<an integer>",
    "resilix('virtual')": "resilix('virtual'): its options are given by name: fresh, time, foreign_sleeps, seed",
}


def test_a_mistake_in_a_marker_stops_the_run(project: Project) -> None:
    """Before any test has run, with the name of the test."""
    for number, marker in enumerate(MISTAKES):
        text = f"import pytest\n\n@pytest.mark.{marker}\ndef test_it():\n    pass\n"
        project.pytester.makepyfile(**{f"test_{number}": text})
    result = project.run()
    result.assert_outcomes(errors=len(MISTAKES))
    said = [line for line in result.outlines if line.startswith("test_it: ")]
    for line, text in zip(said, MISTAKES.values(), strict=True):
        assert line.startswith(f"test_it: @pytest.mark.{text}")


def test_a_mistake_in_a_marker_of_a_unittest_is_an_error_of_that_test(project: Project) -> None:
    """It is collected another way; and in parallel runs a mistake is said as well."""
    project.tests(
        dedent("""
            import unittest

            class TestOld(unittest.TestCase):
                @pytest.mark.resilix(times="real")
                def test_it(self):
                    pass
            """)
    )
    for arguments in ((), ("-n", "1")):
        result = project.run(*arguments)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*test_it: @pytest.mark.resilix(times=*): there is no such option*"])


def test_a_mistake_in_a_setting_is_a_usage_error(project: Project) -> None:
    """Pytest says so at once and ends with its status for it."""
    project.settings("resilix_time = fast")
    project.tests("def test_it():\n    pass\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*resilix_time = \'fast\': write "virtual" or "real"*'])


# -- what it costs those who do not use it -------------------------------------------------------------------------


def test_nothing_of_resilix_is_loaded_before_a_test_asks(project: Project) -> None:
    """Neither by the plugin itself, nor by running tests that do not use it, nor by reading its options."""
    project.pytester.makepyfile(
        test_plain="""
        import sys
        import pytest

        def loaded():
            return {name for name in sys.modules if name.partition(".")[0] in ("resilix", "tenacity")}

        def test_nothing():
            assert "_resilix_pytestplugin" in sys.modules
            assert not loaded()

        def test_still_nothing(request):
            assert request.config.getini("resilix_fresh") is True
            assert not loaded()

        def test_something(resilix_clock):
            assert "resilix.testing.virtual" in sys.modules
        """
    )
    project.run().assert_outcomes(passed=3)


def test_the_plugin_needs_only_what_pytest_has_loaded() -> None:
    """It adds one module: itself."""
    code = (
        "import sys, pytest, contextlib; before = set(sys.modules); import _resilix_pytestplugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert ran.stdout.split() == ["_resilix_pytestplugin"]


def test_the_module_of_the_entry_point_is_in_the_wheel() -> None:
    """It stands beside the package, so it has to be named there."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    for module in settings["project"]["entry-points"]["pytest11"].values():
        assert (ROOT / "src" / f"{module}.py").is_file()
        assert f"src/{module}.py" in wheel["only-include"]
    assert wheel["sources"] == ["src"]


def test_without_the_plugin_nothing_of_it_is_there(project: Project) -> None:
    """``-p no:resilix`` takes away the fixtures, the marker and the fresh policies."""
    project.tests(BROKEN_BEFORE + "\ndef test_clock(resilix_clock):\n    pass\n")
    result = project.run("-p", "no:resilix")
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'resilix_clock' not found*"])


def test_the_marker_and_the_fixtures_explain_themselves(project: Project) -> None:
    """In pytest's own listings."""
    project.tests("")
    result = project.run("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.resilix(fresh, time, foreign_sleeps, seed): fresh=True or False: *"])
    listed = project.run("--fixtures").stdout.str()
    for name in ("resilix_clock", "resilix_events", "resilix_faults"):
        assert re.search(rf"^{name} .*\n    \S", listed, flags=re.MULTILINE), name


@pytest.mark.parametrize(("name", "blocks", "passed"), [("pytest.md", 6, 6), ("testing.md", 7, 8)])
def test_the_code_of_the_pages_runs_under_the_plugin(project: Project, name: str, blocks: int, passed: int) -> None:
    """Each block is a module of tests, or of settings for one."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    project.pytester.makepyfile(**{f"test_block_{number}": block for number, block in enumerate(found)})
    result = project.run()
    result.assert_outcomes(passed=passed)
    assert len(found) == blocks


def test_the_table_of_the_page_is_what_is_printed_today() -> None:
    """The same seed, the same figures."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (block,) = (one for one in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "STALL" in one)
    names: dict[str, Any] = {}
    exec(block, names)
    both = [
        simulate(names[name], load=poisson(70), dependency=names["STALL"], seconds=180, seed=7, name=name)
        for name in ("naive", "better")
    ]
    assert table(both) in page
