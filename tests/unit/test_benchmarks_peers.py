"""The comparison with peers: nobody is left out in silence, and its tables say what was measured.

No peer has to be installed for these tests.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.peers import install, run
from benchmarks.peers.jobs import JOBS, Job
from benchmarks.peers.peer import ADAPTERS, Peer, Roster, muster
from benchmarks.peers.report import markdown, notes, rewritten, rows_of, section, table_lines
from benchmarks.peers.shortcomings import CLAIMS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "peers" / "README.md"
RESULTS = sorted((ROOT / "benchmarks" / "results" / "peers").glob("*.json"))
NAMED = {
    "tenacity", "stamina", "backoff", "pybreaker", "circuitbreaker", "aiobreaker", "purgatory", "interlock-cb",
    "pyresilience", "redress", "crashbytes-resilience", "hyx", "httpx-retries",
}  # fmt: skip


def job(name: str) -> Job:
    """The job of that name."""
    return next(one for one in JOBS if one.name == name)


@functools.cache
def ours() -> Peer:
    """resilix, which is always there."""
    return muster({"resilix": ADAPTERS["resilix"]}).named("resilix")


def nothing(*_: Any) -> Any:
    """A maker of decorators that do nothing."""
    return lambda fn: fn


# -- who takes part ---------------------------------------------------------------------------------------------


def test_every_peer_of_the_issue_has_an_adapter_and_an_exact_pin() -> None:
    """None of them can be forgotten."""
    pins = install.requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(ADAPTERS) == {"resilix", "stacks"} | NAMED
    assert {pin.partition("==")[0] for pin in pins} >= NAMED
    assert all("==" in pin for pin in pins)
    for module in ADAPTERS.values():
        assert (ROOT / "benchmarks" / "peers" / "adapters" / f"{module}.py").exists()


def test_a_peer_that_is_not_installed_is_named_with_the_reason() -> None:
    """By the installer's reason if there is one, else by the import's."""
    roster = muster({"gone": "with_gone", "lost": "with_lost"}, {"lost": "lost==1: no such version"})
    assert roster.peers == []
    assert "with_gone" in roster.missing["gone"]
    assert roster.missing["lost"] == "lost==1: no such version"


def test_pip_says_why_in_its_own_words() -> None:
    """The last of its errors is the one that counts."""
    errors = "WARNING: old\nERROR: Could not find a version\nERROR: No matching distribution found for gone==1\n"
    assert install.reason(errors) == "No matching distribution found for gone==1"
    assert install.reason("") == "pip failed without a reason"


def test_one_pin_that_is_gone_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are then installed one by one."""
    asked: list[tuple[str, ...]] = []

    def pip(*what: str) -> subprocess.CompletedProcess[str]:
        asked.append(what)
        failed = "gone==1" in what
        return subprocess.CompletedProcess(what, int(failed), "", "ERROR: nothing found" if failed else "")

    monkeypatch.setattr(install, "_pip", pip)
    assert install.install(["a==1", "gone==1", "b==2"]) == {"gone": "gone==1: nothing found"}
    assert asked == [("a==1", "gone==1", "b==2"), ("a==1",), ("gone==1",), ("b==2",)]


@pytest.mark.parametrize(
    ("name", "peer", "reason"),
    [
        ("sync, breaker, quiet", Peer("p", ("p",), "import p", abreaker=nothing), "no sync breaker"),
        ("async, breaker, quiet", Peer("p", ("p",), "import p", breaker=nothing), "no async breaker"),
        ("sync, retry, quiet", Peer("p", ("p",), "import p", breaker=nothing), "no retry"),
        ("HTTP, retry, quiet", Peer("p", ("p",), "import p", breaker=nothing), "no retrying transport for httpx"),
        (
            "async, pipeline with timeout",
            Peer("p", ("p",), "import p", apipeline=nothing, parts=("retry", "breaker")),
            "no timeout",
        ),
    ],
)
def test_who_cannot_do_a_job_is_named_with_what_it_lacks(name: str, peer: Peer, reason: str) -> None:
    """Nobody is left out in silence."""
    table = run.measure(job(name), Roster([ours(), peer]), 1)
    assert table["absent"] == {"p": reason}


def test_time_sleep_is_itself_again_after_the_job_without_it() -> None:
    """Also when something in between raises."""
    real = time.sleep

    def interrupted() -> None:
        with job("sync, retry, failing twice, sleep taken out").around():
            assert time.sleep is not real
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert time.sleep is real


def test_every_claim_is_about_somebody_who_takes_part() -> None:
    """A name with a slip in it would never be claimed, and nobody would notice."""
    stacks = {claim.peer for claim in CLAIMS if " + " in claim.peer}
    source = (ROOT / "benchmarks" / "peers" / "adapters" / "with_stacks.py").read_text(encoding="utf-8")
    assert all(f'"{stack}"' in source for stack in stacks)
    assert {claim.peer for claim in CLAIMS} - stacks == NAMED
    assert {claim.part for claim in CLAIMS} <= {"breaker", "retry", "pipeline", "http", "whole"}


# -- the tables ---------------------------------------------------------------------------------------------------


def figure(name: str, ratio: float) -> dict[str, Any]:
    """A row as it is measured."""
    return {"name": name, "ratio": ratio, "spread": 0.125, "nanoseconds": 100 * ratio}


def small() -> dict[str, Any]:
    """Results of one pipeline, made up."""
    rows = [figure("bare wrapper", 1.0), figure("slow", 9.0), figure("resilix", 2.0), figure("quick", 1.5)]
    claim = {"peer": "slow", "form": "", "better": False, "trouble": None, "resilix": None, "resilix_tried": True}
    return {
        "machine": {
            "python": "3.11.7", "implementation": "CPython", "profile_guided": False, "system": "Linux", "cores": 2,
            "date": "2026-11-26", "load": 0.5, "libraries": {"tenacity": "9"},
        },
        "rounds": 5,
        "versions": {"slow": "1.0"},
        "missing": {"gone": "gone==1: nothing found"},
        "parts": {"slow": ["retry", "breaker"]},
        "claims": [
            {**claim, "part": "breaker", "words": "wrong | odd", "evidence": "seen"},
            {**claim, "part": "breaker", "words": "unproven", "evidence": None},
        ],
        "groups": {
            "sync, pipeline with timeout": {
                "rows": rows,
                "excluded": {"cheat": "a quiet call does not return the value"},
                "absent": {"a": "no pipeline", "b": "no pipeline", "c": "no timeout"},
            }
        },
    }  # fmt: skip


def test_a_row_has_its_figures_what_is_missing_and_the_shortcomings() -> None:
    """The yardstick first, then the cheapest."""
    rows = rows_of(small(), "sync, pipeline with timeout")
    assert [row[0] for row in rows] == ["bare wrapper", "quick", "resilix", "slow"]
    assert rows[-1] == ["slow", "9.00", "0.12", "900", "bulkhead, timeout", "wrong | odd"]


def test_below_a_table_stands_who_is_cheaper_and_who_is_not_in_it() -> None:
    """A peer that beats us is named, and so is one that cannot or does not do the job."""
    assert notes(small(), "sync, pipeline with timeout") == [
        "Cheaper than resilix here: quick.",
        "No figure, for it did not do the job: cheat (a quiet call does not return the value).",
        "Not here: a, b (no pipeline); c (no timeout); gone (not installed).",
    ]


def test_terminal_and_markdown_say_the_same() -> None:
    """Names, figures and reasons are in both; a bar in a text does not end a cell."""
    lines = "\n".join(table_lines(small(), "sync, pipeline with timeout"))
    text = markdown(small())
    for word in ("quick", "9.00", "bulkhead, timeout", "Cheaper than resilix here: quick.", "cheat", "gone (not"):
        assert word in lines
        assert word in text
    assert "| slow | 9.00 | 0.12 | 900 | bulkhead, timeout | wrong \\| odd |" in text
    assert "Not installed: gone (gone==1: nothing found)." in text
    assert "Not reproduced, and so not claimed above: slow: unproven." in text


def test_the_readme_is_rewritten_between_its_markers() -> None:
    """What stands around them stays, twice over the same file is the same file, and no place is an error."""
    begin, end = section("python-3.11")
    readme = f"before\n{begin}\nold\n{end}\nafter\n"
    once = rewritten(readme, {"python-3.11": small()})
    assert once == f"before\n{begin}\n\n{markdown(small())}\n\n{end}\nafter\n"
    assert rewritten(once, {"python-3.11": small()}) == once
    with pytest.raises(ValueError, match=r"no place for python-3\.15"):
        rewritten(readme, {"python-3.15": small()})


def test_the_readme_says_what_was_measured() -> None:
    """Its tables are those that the figures make, to the letter, for both interpreters and for every group."""
    readme = README.read_text(encoding="utf-8")
    assert [path.stem for path in RESULTS] == ["python-3.11", "python-3.13"]
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS}
    assert rewritten(readme, results) == readme
    for one in results.values():
        assert list(one["groups"]) == run.GROUPS
        assert set(one["versions"]) | set(one["missing"]) >= NAMED


def test_the_results_are_of_the_pinned_versions() -> None:
    """Figures of another version under these pins would mislead."""
    pins = dict(pin.split("==") for pin in install.requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    for path in RESULTS:
        versions = json.loads(path.read_text(encoding="utf-8"))["versions"]
        assert {name: pins[name] for name in NAMED & set(versions)} == {
            name: version for name, version in versions.items() if name in NAMED
        }


# -- the command line -----------------------------------------------------------------------------------------------


def peers(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command line from the repository's root."""
    command = [sys.executable, "-m", "benchmarks.peers", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_one_group_can_be_measured_alone() -> None:
    """Without a peer there is resilix and the yardstick, and everybody else is named."""
    done = peers("--only", "sync, breaker, quiet", "--rounds", "1", "--raw")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert [row["name"] for row in table["rows"]][:2] == ["bare wrapper", "resilix"]


def test_nonsense_is_refused_with_a_sentence() -> None:
    """No round at all would divide by nothing."""
    done = peers("--rounds", "0")
    assert done.returncode == 2
    assert "at least one round" in done.stderr
