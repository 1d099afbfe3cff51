"""The demo as a person meets it: through the command line, with real processes and sockets."""

from __future__ import annotations

import os
import pty
import signal
import struct
import subprocess
from pathlib import Path

import pytest
from tests.support.demo import COMMAND, left_over, resilix, within
from tests.support.interruptible import INTERRUPTIBLE

from resilix.policies.weave import WEAVE

SEED = 424200 if WEAVE.on else 424210
"""Left-over processes are known by it, and the tests run woven and plain at once."""


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One short run, and where its picture went."""
    out = tmp_path_factory.mktemp("demo") / "made" / "here"
    return resilix("demo", "--seconds", "6", "--seed", str(SEED + 1), "--out", str(out)), out


def test_a_short_run_keeps_every_promise(short_run):
    """Exit status 0, every check ticked, and nothing on stderr."""
    ended, _ = short_run
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "promises of the guarded side: 10 of 10 kept" in ended.stdout
    assert "✗" not in ended.stdout
    assert ended.stderr == ""


def test_it_shows_progress_and_transitions_as_plain_lines(short_run):
    """Without a terminal: a line about every second, one for each turn of the script and of the breaker."""
    ended, _ = short_run
    lines = ended.stdout.splitlines()
    assert 5 <= sum("unguarded: " in line and "guarded: " in line for line in lines) <= 12
    assert [line.split("server: ")[1].split(",")[0] for line in lines if "* server: " in line] == [
        "healthy", "outage", "brown-out", "healthy again",
    ]  # fmt: skip
    assert any("breaker: closed → open" in line for line in lines)
    assert any("→ closed" in line for line in lines)
    assert "\x1b" not in ended.stdout


def test_the_table_has_the_figures_of_both_sides(short_run):
    """The sums are those of the run: 240 requests on each side, however they ended."""
    ended, _ = short_run
    rows = [line.strip("│").split("│") for line in ended.stdout.splitlines() if line.startswith("│")]
    names = ("answered fresh", "answered by the fallback", "failed: an error for the caller")
    for column in (1, 2):
        assert sum(int(row[column].split()[0]) for row in rows if row[0].strip() in names) == 240
    assert sum(row[0].strip() == "calls the server bore" for row in rows) == 5


def test_the_picture_is_a_real_image(short_run):
    """demo.png in the directory that was asked for, made where there was none."""
    ended, out = short_run
    data = (out / "demo.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width >= 800
    assert height >= 600
    assert len(data) > 20_000
    assert str(out / "demo.png") in ended.stdout


def test_no_process_is_left_after_a_run(short_run):
    """Servers and clients have ended by the time the command returns."""
    assert left_over(SEED + 1) == []


def test_ctrl_c_in_the_live_view_ends_cleanly(tmp_path):
    """SIGINT in the middle of a run, on a terminal: status 130, one sentence, no traceback, no process left."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    demo = subprocess.Popen(
        [*INTERRUPTIBLE, "demo", "--seconds", "30", "--seed", str(SEED + 2), "--out", str(tmp_path)],
        stdin=slave, stdout=slave, stderr=slave, env=environment,
    )  # fmt: skip
    os.close(slave)
    try:
        seen = _read_until(master, b"breaker ")
        assert len(left_over(SEED + 2)) == 4
        demo.send_signal(signal.SIGINT)
        seen += _read_until(master, None)
        assert demo.wait(20) == 130
    finally:
        demo.kill()
        demo.wait()
        os.close(master)
    assert b"Interrupted" in seen
    assert b"Traceback" not in seen
    assert left_over(SEED + 2) == []


def test_servers_do_not_outlive_a_killed_demo(tmp_path):
    """Even SIGKILL, which leaves no time to clean up, leaves no process: they end when their stdin closes."""
    demo = subprocess.Popen(
        [*COMMAND, "--seconds", "30", "--seed", str(SEED + 3), "--out", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    try:
        assert within(20, lambda: len(left_over(SEED + 3)) == 4)
    finally:
        demo.kill()
        demo.wait()
    assert within(20, lambda: left_over(SEED + 3) == [])


def _read_until(master: int, word: bytes | None) -> bytes:
    """Read a terminal until a word comes, or to its end."""
    seen = b""
    while word is None or word not in seen:
        try:
            piece = os.read(master, 65536)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        if not piece:
            assert word is None, seen.decode(errors="replace")
            return seen
        seen += piece
    return seen
