"""The table of the simulator against reality says how far they are apart, and where one has what the other has not."""

from __future__ import annotations

import pytest
from benchmarks.reality.__main__ import apart, lines, shown
from benchmarks.reality.cases import CASES, Case, figures, reach


def test_a_figure_is_its_mean_and_says_how_often_there_was_none() -> None:
    """Never is no number."""
    assert shown([1.0, 2.0]) == "1.50"
    assert shown([1.0, None, 2.0]) == "1.50 (1 of them never)"
    assert shown([None, None]) == "never"


def test_two_are_apart_by_the_worst_run_and_unlike_where_one_has_none() -> None:
    """A mean over runs would hide it."""
    assert apart([(1.0, 1.25), (2.0, 1.5)]) == "0.500"
    assert apart([(None, None)]) == "-"
    assert apart([(None, 1.0), (1.0, 1.1)]) == "0.100 (1 unlike)"


def test_every_case_and_figure_is_a_row() -> None:
    """Held against themselves they are not apart at all."""
    results = [case.simulated(1) for case in CASES]
    said = lines([[(one, one) for one in results]])
    assert len(said) == 2 + len(CASES) * len(figures(results[0]))
    assert all(row.endswith(("| 0.000 |", "| - |")) for row in said[2:])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reach_of_a_case_has_the_case_itself(case: Case) -> None:
    """The same arrivals with durations drawn anew, and some milliseconds more for each request."""
    said = reach(case, 1)
    for name, value in figures(case.simulated(1, 0)).items():
        assert value in said[name]
