"""``docs/whatif.md`` says what the commands do today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.whatif import played, said

from resilix.whatif import shipped
from resilix.whatif.log import read_log
from resilix.whatif.policies import ERRORS, FUNCTIONS, KINDS, OFF, WAITS
from resilix.whatif.scenario import ABOUT_DEPENDENCY, LOADS, PLACING, TOP, TROUBLES, scenario_of
from resilix.whatif.table import names_of
from resilix.whatif.words import report_of

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "whatif.md").read_text(encoding="utf-8")
FORMAT = PAGE.split("\n## A file\n", 1)[1].split("\n## ", 1)[0]
MOST_BYTES = 120_000


def names() -> set[str]:
    """What the chapter about files has in backticks."""
    inside = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", FORMAT, flags=re.DOTALL))
    return {word for text in inside for word in re.findall(r"\w+", text)}


@pytest.mark.slow
@pytest.mark.parametrize("case", shipped.CASES)
def test_the_page_has_what_the_command_prints_of_a_case(case: str) -> None:
    """Table and sentences; ``make pictures`` writes them anew."""
    scenario = scenario_of(shipped.read(case), case)
    results = list(played(case, scenario.seed).values())
    printed = report_of(scenario, results, scenario.seconds, scenario.seed)
    assert f"```text\n$ resilix simulate {case}\n{printed}\n```" in PAGE


@pytest.mark.parametrize("case", shipped.CASES)
def test_the_page_shows_the_picture_of_a_case(case: str) -> None:
    """It is there, and small enough for a page."""
    assert f"(pictures/{case}.png)" in PAGE
    assert 10_000 < (DOCS / "pictures" / f"{case}.png").stat().st_size < MOST_BYTES


def test_every_key_of_a_file_is_on_the_page() -> None:
    """A new key, kind or option has to be written down."""
    known = {*TOP, *ABOUT_DEPENDENCY, *PLACING, *LOADS, *TROUBLES, *KINDS, *ERRORS, *WAITS, *OFF, "phase"}
    for make in (*LOADS.values(), *TROUBLES.values()):
        known |= set(names_of(make))
    for make in KINDS.values():
        known |= set(names_of(make, FUNCTIONS))
    assert known - names() - set(re.findall(r"\w+", FORMAT.split("```", 2)[1])) == set()


def test_the_example_of_a_file_is_a_sound_one(tmp_path: Path) -> None:
    """What readers copy runs as it stands."""
    text = FORMAT.split("```toml\n", 1)[1].split("```", 1)[0]
    file = tmp_path / "mine.toml"
    file.write_text(text)
    status, out, complaints = said("simulate", str(file), "--seconds", "70")
    assert (status, complaints) == (0, "")
    assert "naive retries" in out


def test_the_example_in_the_help_is_a_sound_one() -> None:
    """The lines of the help, as they stand."""
    _, text, _ = said("simulate", "--help")
    example = text.split("has all keys):\n", 1)[1].split("\nexit status", 1)[0]
    assert [one.name for one in scenario_of(example.encode(), "help").candidates] == ["naive retries"]


def test_the_examples_of_logs_are_sound_ones(tmp_path: Path) -> None:
    """Both ways of writing them."""
    blocks = re.findall(r"```text\n((?:time,|\{).*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    counts: list[int] = []
    for block in blocks:
        file = tmp_path / "log"
        file.write_text(block)
        with file.open("rb") as stream:
            counts.append(len(read_log(stream, "log").recording.times))
    assert counts == [3, 2]
