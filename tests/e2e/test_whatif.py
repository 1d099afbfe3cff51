"""``resilix simulate`` and ``resilix replay`` as processes: what they print, write, and leave with."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from tests.support.interruptible import INTERRUPTIBLE
from tests.support.whatif import SOUND

COMMAND = [sys.executable, "-W", "error", "-m", "resilix"]
CALLS = "time,duration,outcome\n" + "".join(f"{number / 50},0.02,ok\n" for number in range(500))
LONG = SOUND.replace("seconds = 20", "seconds = 15000").replace("rate = 20", "rate = 1000")


def resilix(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    return subprocess.run([*COMMAND, *arguments], input=given, capture_output=True, timeout=60, check=False)


def test_a_shipped_case_is_shown_taken_along_and_played(tmp_path: Path) -> None:
    """List, copy one to a file, make it shorter, play it: table, sentences, picture and JSON."""
    listed = resilix("simulate", "--list")
    assert (listed.returncode, listed.stdout.count(b"\n")) == (0, 7)
    shown = resilix("simulate", "one-bad-shard", "--show").stdout
    assert tomllib.loads(shown.decode())["seconds"] == 180
    file, picture, figures = (tmp_path / name for name in ("mine.toml", "out.png", "out.json"))
    file.write_bytes(shown)
    done = resilix(
        "simulate", str(file), "--seconds", "70", "--seed", "3", "--picture", str(picture), "--json", str(figures)
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.startswith("One bad shard of ten: its requests vanish\n\nRequests to shard 3 vanish")
    assert "Traffic poisson(70) for 70 s, seed 3." in text
    assert re.search(r"^ +a timeout alone +naive retries +resilix +resilix per shard$", text, flags=re.MULTILINE)
    assert re.search(r"^resilix per shard: .* breaker opened", text, flags=re.MULTILINE)
    assert picture.read_bytes().startswith(b"\x89PNG")
    results = json.loads(figures.read_text())["results"]
    assert [(one["seconds"], one["seed"]) for one in results] == [(70.0, 3)] * 4
    assert resilix("simulate", str(file), "--seconds", "70", "--seed", "3").stdout == done.stdout


def test_a_log_comes_through_a_pipe() -> None:
    """``-`` is standard input."""
    done = resilix("replay", "-", given=CALLS.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"10 s of recorded calls; no trouble." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["simulate"], b"", "error: what is to be simulated? Give a file, or a shipped case: total-outage, brown-out"),
        (["simulate", "total-outrage"], b"", "case, 'total-outrage'; did you mean total-outage?"),
        (["simulate", "nowhere.toml"], b"", "error: nowhere.toml: No such file or directory"),
        (["simulate", "flapping", "--seconds", "30"], b"", "flapping: [[trouble]]: flapping 60 to 64 s would begin"),
        (["simulate", "flapping", "--picture", "x.pdf"], b"", "error: --picture x.pdf: it can be a .png or an .svg"),
        (["simulate", "flapping", "--seed", "1.5"], b"", "'1.5' is not a whole number"),
        (["replay", "-"], b"", "standard input: there is not one call in it"),
        (["replay", "-"], CALLS.encode() + b"10,soon,ok\n", "standard input:502: duration is 'soon'"),
        (["replay", "-"], b"\x1f\x8bnonsense", "standard input: it begins like gzip, and cannot be unpacked"),
    ],
)
def test_nonsense_is_one_line_and_status_2(arguments: list[str], given: bytes, message: str) -> None:
    """Nothing on standard output, and no traceback."""
    done = resilix(*arguments, given=given)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in said
    assert said.count("\n") == 1


def test_an_output_that_cannot_be_written_is_status_1(tmp_path: Path) -> None:
    """The table is printed all the same."""
    file = tmp_path / "mine.toml"
    file.write_text(SOUND)
    done = resilix("simulate", str(file), "--json", str(tmp_path))
    assert (done.returncode, b"attempts per call" in done.stdout) == (1, True)
    assert done.stderr.decode() == f"resilix simulate: error: {tmp_path}: Is a directory\n"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    """``resilix simulate … | head -1`` ends quietly."""
    file = tmp_path / "mine.toml"
    file.write_text(SOUND)
    process = subprocess.Popen(
        [*COMMAND, "simulate", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


def test_a_long_run_says_on_a_terminal_how_far_it_is_and_can_be_interrupted(tmp_path: Path) -> None:
    """One line that changes in place, on standard error only."""
    file = tmp_path / "mine.toml"
    file.write_text(LONG)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*INTERRUPTIBLE, "simulate", str(file)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        seen = b""
        until = time.monotonic() + 30
        while seen.count(b"calls") < 2 and time.monotonic() < until:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        seen += os.read(ours, 65536)
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    assert b"resilix simulate: interrupted" in seen
    assert b"Traceback" not in seen
    assert re.search(rb"\rsimulating retry \(1 of 1\): \d+%, [\d,]+ calls", seen)
    assert (process.returncode, out) == (130, b"")
