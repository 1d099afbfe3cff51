"""The state machine costs the same whatever its window's size and however many there are; counted, not timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import machine_parts as parts
from benchmarks.counting import by_steps
from benchmarks.machine_report import cells, markdown

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "benchmarks" / "machine.md"
RESULTS = sorted((ROOT / "benchmarks" / "results" / "machine").glob("*.json"))
SIZES, KEYS = (100, 10_000, 100_000), (1, 10, 1_000)
FORGOTTEN = 30
"""Steps of forgetting one failure that leaves the window; a small window that was full has none left by then."""
Counted = dict[tuple[str, str, str], dict[int, float]]


@pytest.fixture(scope="module")
def counted() -> Counted:
    """Bytecode instructions, frames and calls of C functions of every step, in a process of its own."""
    return parts.told(by_steps("--sizes", *map(str, SIZES), "--keys", *map(str, KEYS)))


def test_no_step_costs_more_with_a_larger_window(counted: Counted) -> None:
    """Empty or full of failures, by calls or by time; a probe, an opening and a refusal too."""
    by_size = {key: sizes for key, sizes in counted.items() if key[1] in parts.KINDS}
    assert {key[0] for key in by_size} == set(parts.STEPS) - {parts.ALONE}
    for key, sizes in by_size.items():
        assert list(sizes) == list(SIZES)
        small, middle, large = sizes.values()
        assert large <= middle, key
        # A time window moves on a twentieth of its length at a time: dearer where that is a call or two.
        assert large <= small + FORGOTTEN * (key[2] == parts.FULL), key


def test_no_step_costs_more_with_more_breakers(counted: Counted) -> None:
    """A thousand in turn against one."""
    by_number = {key: numbers for key, numbers in counted.items() if key[1] == parts.KEYS}
    assert {key[0] for key in by_number} == set(parts.KEYED)
    for key, numbers in by_number.items():
        assert list(numbers) == list(KEYS)
        assert numbers[KEYS[-1]] <= numbers[KEYS[0]], key


def test_a_step_that_grows_would_be_seen() -> None:
    """The count tells a step that walks over its window from one that does not."""
    walks = "import sys; from benchmarks import machine_parts as p; from benchmarks import counted; step = p.STEPS; "
    walks += "step['admit, settle: failure'] = lambda m: [one for one in range(round(p.SECONDS / m.tick))]; "
    walks += "sys.argv[1:] = ['steps', '--sizes', '100', '1000']; counted.main()"
    done = subprocess.run([sys.executable, "-c", walks], cwd=ROOT, capture_output=True, text=True, check=True)
    segments = json.loads(done.stdout)
    totals: dict[str, list[int]] = {}
    for (name, calls), total in zip(segments["segments"], segments["totals"], strict=True):
        totals.setdefault(name, []).append(total // calls)
    small, large = (min(totals[f"admit, settle: failure|count window|empty|{size}"]) for size in (100, 1_000))
    assert large > 9 * small


@pytest.mark.parametrize("size", [100, 1_000])
def test_what_is_left_for_later_is_done_once(size: int) -> None:
    """The first failure after a window of failures has aged out forgets all of them, and the next one nothing."""
    machine = parts.made("", parts.COUNT_WINDOW, size, parts.FULL)
    assert machine.core.snapshot("full", machine.now).failures == size
    for _ in range(size):
        parts.quiet(machine)
    parts.failure(machine)
    after = machine.core.snapshot("aged", machine.now)
    assert (after.calls, after.failures) == (size, 1)


def test_every_worst_step_can_be_made() -> None:
    """Each is made anew and taken once."""
    for make in parts.worst_steps(50).values():
        make()()


def test_steps_do_what_they_are_called() -> None:
    """A breaker that does not turn stays closed, one that does goes round, and a refusal refuses."""
    for name, kind, fill in parts.cases():
        machine = parts.made(name, kind, 20, fill)
        for _ in range(3):
            parts.STEPS[name](machine)
        told = machine.core.snapshot(name, machine.now)
        assert told.state.value == ("open" if name == parts.REFUSAL else "closed")
    assert machine.core.totals().success == machine.core.totals().failure == 3


def test_tables_say_times_and_counts() -> None:
    """A cell has the ratio, its spread, the ratio to the smallest size, and the count where there is one."""
    rows = [{"size": 10, "ratio": 2.0, "spread": 0.1, "to_smallest": 1.0, "nanoseconds": 200.0}]
    row = {"step": "quiet success", "kind": "count window", "fill": "empty", "rows": rows}
    counted = {"kind": "instructions", "counts": [["quiet success", "count window", "empty", {"10": 1234.0}]]}
    assert cells(row, counted) == ["2.00 ± 0.10 (1.00; 1,234)"]
    assert cells({**row, "fill": "half full"}, counted) == ["2.00 ± 0.10 (1.00)"]
    where = {
        "implementation": "CPython",
        "python": "3.11.7",
        "profile_guided": False,
        "libraries": {},
        "system": "Linux",
    }
    results = {
        "machine": {**where, "cores": 2, "date": "2026-11-26", "load": 0.1}, "rounds": 1, "sizes": [row],
        "keys": [{**row, "kind": parts.KEYS, "fill": ""}], "worst": {"a step": {"10": 3.25}}, "counted": counted,
    }  # fmt: skip
    assert "| quiet success; count window; empty | 2.00 ± 0.10 (1.00; 1,234) |" in markdown(results)
    assert "| a step | 3.2 |" in markdown(results)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_page_says_what_was_measured(path: Path) -> None:
    """Its tables are those that the figures make, to the letter; and there are some."""
    results = json.loads(path.read_text())
    assert markdown(results) in PAGE.read_text()
    assert [(row["step"], row["kind"], row["fill"]) for row in results["sizes"]] == parts.cases()


def test_there_are_results() -> None:
    """Without any the test above would have nothing to look at."""
    assert [path.stem for path in RESULTS] == ["python-3.11"]
