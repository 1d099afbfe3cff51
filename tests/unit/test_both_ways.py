"""``make test`` runs the tests woven and plain, and says which way failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
from resilix.policies.weave import WEAVE

def test_one():
    assert WEAVE.on in {allowed}
"""


@pytest.mark.parametrize(
    ("allowed", "status", "last"),
    [
        ((True,), 1, "== woven: passed, plain: FAILED (status 1)"),
        ((False,), 1, "== woven: FAILED (status 1), plain: passed"),
    ],
)
def test_both_ways_are_run_and_either_can_fail(
    tmp_path: Path, allowed: tuple[bool, ...], status: int, last: str
) -> None:
    """Both outputs are shown, whole and one after the other."""
    (tmp_path / "test_switch.py").write_text(TESTS.format(allowed=allowed), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real_time\n once_woven\n once_plain", encoding="utf-8")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "both_ways.py"), "-q"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (status, "")
    woven, _, plain = done.stdout.partition("== plain (RESILIX_WEAVE=0)")
    assert woven.startswith("== woven")
    assert ("1 failed" in woven, "1 failed" in plain) == (True not in allowed, False not in allowed)
    assert ("1 passed" in woven, "1 passed" in plain) == (True in allowed, False in allowed)
    assert done.stdout.rstrip().endswith(last)


def test_what_weaving_cannot_change_runs_one_way_only(tmp_path: Path) -> None:
    """Once is enough; and it is not forgotten."""
    tests = "import pytest\ndef test_one(): pass\n@pytest.mark.once_plain\ndef test_two(): pass\n"
    tests += "@pytest.mark.once_woven\ndef test_three(): pass\n@pytest.mark.once_woven\ndef test_four(): pass\n"
    (tmp_path / "test_marked.py").write_text(tests, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real_time\n once_woven\n once_plain", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "both_ways.py"), "-q"],
        cwd=tmp_path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    woven, _, plain = done.stdout.partition("== plain (RESILIX_WEAVE=0)")
    assert ("3 passed, 1 deselected" in woven, "2 passed, 2 deselected" in plain) == (True, True)
