"""No quiet path grows unnoticed: what a call costs is counted and held against what is known. No clock is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import counting, instructions
from benchmarks.counting import INSTRUCTIONS, STEPS, by_steps, per_call, ratios
from benchmarks.instructions import (
    ACCEPT,
    BASELINES,
    OTHER_BUILD,
    OTHER_VERSION,
    SAME_BUILD,
    Measured,
    added_by_unused,
    build,
    complaints,
    key,
    measure,
    nearest,
    update,
)
from benchmarks.paths import ASYNC, PLANTED, SYNC

from resilix.attention import GIL

# What is counted is counted in processes that weave, whatever this one does.
pytestmark = pytest.mark.sets_weaving

KNOWN: dict[str, Any] = json.loads(BASELINES.read_text())


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Everything, counted once."""
    return measure()


# -- the gate ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_quiet_path_has_grown(measured: Measured) -> None:
    """Instructions where valgrind can be had, and steps of the interpreter always."""
    assert STEPS in measured.kinds
    grown = [line for kind, counts in measured.kinds.items() for line in complaints(kind, counts, KNOWN, key(build()))]
    assert not grown, "\n".join(grown)


@pytest.mark.slow
def test_what_is_imported_and_not_used_adds_nothing(measured: Measured) -> None:
    """Metrics, traces, logs, health, HTTP, testing: the counts of a call are those without them, to half a percent."""
    added = [line for kind in measured.kinds for line in added_by_unused(kind, measured)]
    assert not added, "\n".join(added)
    assert measured.lean.keys() == measured.kinds.keys()


@pytest.mark.slow
def test_one_frame_more_is_seen(measured: Measured) -> None:
    """A real path with the least a careless change adds, counted beside the others, does not pass for what it was."""
    for kind, counts in measured.kinds.items():
        for planted in (name for name in counts if name.startswith(PLANTED)):
            slower = {**counts, planted.removeprefix(PLANTED): counts[planted]}
            said = complaints(kind, slower, KNOWN, key(build()))
            tolerances = nearest(key(build()), KNOWN, kind)[1]
            if tolerances == SAME_BUILD or (kind == STEPS and tolerances != OTHER_VERSION):
                assert len(said) == 1, said
                assert said[0].startswith(planted.removeprefix(PLANTED))
    assert sum(name.startswith(PLANTED) for name in measured.kinds[STEPS]) == 2


@pytest.mark.slow
def test_counts_repeat() -> None:
    """Steps to the last one; instructions are repeated by the figures that are compared above."""
    assert by_steps() == by_steps()


# -- its own logic ----------------------------------------------------------------------------------------------------

FIGURES = {SYNC: 1700.0, ASYNC: 3100.0, "sync, retry": 1190.0, "async, retry": 2480.0}
HERE, COUSIN, STRANGER, FREE = "3.11.7 aaaaaaaa", "3.11.2 bbbbbbbb", "3.13.0 cccccccc", "3.11.7t dddddddd"


def known(*builds: str, **counts: float) -> dict[str, Any]:
    """A file with the figures above for some builds."""
    rows = {name: {"count": FIGURES[name], "ratio": ratio} for name, ratio in ratios(FIGURES).items()}
    return {one: {INSTRUCTIONS: rows, STEPS: rows} for one in builds}


def grown(by: float) -> dict[str, float]:
    """Retry is dearer, as a share of what it was."""
    return {**FIGURES, "sync, retry": FIGURES["sync, retry"] * (1 + by)}


@pytest.mark.parametrize("kind", [INSTRUCTIONS, STEPS])
def test_three_percent_more_fail_and_less_passes(kind: str) -> None:
    """On the build that the figures are of."""
    assert complaints(kind, grown(0.029), known(HERE), HERE) == []
    assert complaints(kind, grown(-0.5), known(HERE), HERE) == []
    (said,) = complaints(kind, grown(0.031), known(HERE), HERE)
    assert said.startswith("sync, retry: 0.722 times the bare wrapper")
    assert "it was 0.700 (1227 a call, and it was 1190): +3.1%, allowed 3% against 3.11.7 aaaaaaaa" in said
    assert ACCEPT in said


def test_a_dearer_wrapper_that_does_nothing_is_no_excuse_and_no_fault() -> None:
    """Ratios are compared: where everything costs a tenth more, nothing has grown."""
    assert complaints(STEPS, {name: count * 1.1 for name, count in FIGURES.items()}, known(HERE), HERE) == []


def test_paths_that_come_and_go_are_said() -> None:
    """Otherwise a path that is renamed would never be looked at again."""
    counts = {**FIGURES, "sync, new": 10.0}
    del counts["async, retry"]
    gone, new = complaints(STEPS, counts, known(HERE), HERE)
    assert gone.startswith("async, retry: steps are known of it, but it is gone")
    assert new.startswith("sync, new: counted, but no steps are known of it")


@pytest.mark.parametrize(
    ("builds", "base", "tolerances"),
    [
        ([STRANGER, COUSIN, HERE], HERE, SAME_BUILD),
        ([STRANGER, COUSIN], COUSIN, OTHER_BUILD),
        ([STRANGER], STRANGER, OTHER_VERSION),
        ([STRANGER, FREE], STRANGER, OTHER_VERSION),
        ([FREE], FREE, OTHER_VERSION),
    ],
)
def test_an_unknown_build_is_compared_with_the_nearest(
    builds: list[str], base: str, tolerances: dict[str, float]
) -> None:
    """With the tolerance of that distance, and it still fails."""
    assert nearest(HERE, known(*builds), STEPS) == (base, tolerances)
    for kind in (INSTRUCTIONS, STEPS):
        assert complaints(kind, grown(tolerances[kind] - 0.01), known(*builds), HERE) == []
        (said,) = complaints(kind, grown(tolerances[kind] + 0.01), known(*builds), HERE)
        assert f"against {base}" in said


def test_without_any_figures_it_does_not_pass() -> None:
    """A file that was emptied is a fault."""
    with pytest.raises(LookupError, match="--update"):
        complaints(STEPS, FIGURES, {}, HERE)


def test_the_kept_figures_have_both_kinds_and_every_path() -> None:
    """For each build; and a build's name is that of what is written about it."""
    assert KNOWN
    for name, one in KNOWN.items():
        assert key(one["build"]) == name
        assert one[INSTRUCTIONS].keys() == one[STEPS].keys() == KNOWN[next(iter(KNOWN))][STEPS].keys()


def test_the_name_of_a_build_is_the_same_wherever_it_is_installed() -> None:
    """Paths are left out; another compiler or flag is another build."""
    one = build()
    assert not [flag for flag in one["flags"] if "/" in flag]
    assert key(one).partition(" ")[0] == one["version"] + ("" if GIL else "t")
    assert key(one) == key(build()) != key({**one, "compiler": "another"}) != key({**one, "flags": ["-O0"]})


def test_a_count_is_what_more_calls_cost_more() -> None:
    """What a segment costs by itself cancels, and the least of several segments counts."""
    segments = [("a", 10), ("a", 20), ("a", 10), ("a", 20), ("b", 10), ("b", 20)]
    assert per_call(segments, [150, 250, 9999, 270, 7, 7]) == {"a": 10.0, "b": 0.0}


def test_unused_modules_that_add_are_named() -> None:
    """Half a percent is the most."""
    lean = {STEPS: {"sync, retry": 1000.0, "async, retry": 1000.0}}
    (said,) = added_by_unused(STEPS, Measured({STEPS: {"sync, retry": 1005.0, "async, retry": 1006.0}}, lean))
    assert said == "async, retry: 1006.0 steps a call with every module imported, 1000.0 without"


def test_update_writes_this_build_and_keeps_the_others(tmp_path: Path) -> None:
    """And what it wrote passes; planted paths are not kept."""
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps(known(STRANGER)))
    counts = {**FIGURES, f"{PLANTED}sync, retry": 9000.0}
    mine = update(Measured({STEPS: counts, INSTRUCTIONS: counts}, {}), path)
    after = json.loads(path.read_text())
    assert after.keys() == {mine, STRANGER}
    assert after[STRANGER] == known(STRANGER)[STRANGER]
    assert after[mine][STEPS].keys() == FIGURES.keys()
    assert complaints(INSTRUCTIONS, counts, after, mine) == []


def test_without_valgrind_steps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine where it can neither be found nor fetched, nor followed, the gate is narrower and still a gate."""
    monkeypatch.setattr(instructions, "valgrind", lambda: None)
    monkeypatch.setattr(instructions, "by_steps", lambda *options: dict(FIGURES))
    assert measure().kinds == {STEPS: FIGURES}
    assert not counting._works(counting.Valgrind("/nowhere/valgrind"))
