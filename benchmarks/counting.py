"""Count what a call costs: in instructions by callgrind, in steps of the interpreter without any tool.

A count is the difference of two run lengths, so that what a segment costs by itself cancels. Of several segments of one
length the least counts: whatever comes by chance, such as the next slice of a time window, only adds.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import unpacked
from benchmarks.paths import ASYNC, SYNC

ROOT = Path(__file__).resolve().parents[1]
MARKS = ["--dump-before=getppid", "--dump-before=__getppid"]
"""The C function behind ``os.getppid``, by the names a C library may have for it."""
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)

INSTRUCTIONS, STEPS = "instructions", "steps"
"""The two kinds of counts."""

Counts = dict[str, float]
"""Path → how much a call of it takes."""


class CountingError(RuntimeError):
    """What came back is not what was asked for, so that no figure can be trusted."""


@dataclass(frozen=True)
class Valgrind:
    """How to start it.

    Attributes:
        program: Its path.
        library: Where its tools are, if it is not installed but only unpacked.
    """

    program: str
    library: str | None = None

    def environment(self) -> dict[str, str]:
        """What it has to be told."""
        return {} if self.library is None else {"VALGRIND_LIB": self.library}


def environment() -> dict[str, str]:
    """As little as possible: counts must not depend on who counts. Switches of ours are left at their defaults."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}


@functools.cache
def valgrind() -> Valgrind | None:
    """Valgrind from PATH, or Debian's package; ``None`` where there is none that can follow this interpreter."""
    for found in (_installed, _unpacked):
        one = found()
        if one is not None and _works(one):
            return one
    return None


def _installed() -> Valgrind | None:
    program = shutil.which("valgrind")
    return None if program is None else Valgrind(program)


def _unpacked() -> Valgrind | None:
    root = unpacked("valgrind")
    # Debian's usr/bin/valgrind is a script that starts valgrind.bin.
    for program in root.glob("usr/bin/valgrind.bin") if root else ():
        for tool in root.glob("usr/lib*/**/callgrind-*-linux") if root else ():
            return Valgrind(str(program), str(tool.parent))
    return None


def _works(one: Valgrind) -> bool:
    try:
        return len(_totals(one, ["-S", "-c", "import os; os.getppid(); os.getppid()"])[1]) == 2
    except (OSError, CountingError):
        return False


def by_callgrind(*options: str) -> Counts:
    """Instructions a call, of a process of its own.

    Args:
        options: For ``benchmarks.counted``.

    Raises:
        CountingError: There is no valgrind, or what it wrote does not belong to what was called.
    """
    one = valgrind()
    if one is None:
        raise CountingError("no valgrind that works here")
    printed, totals = _totals(one, ["-m", "benchmarks.counted", "callgrind", *options])
    segments = json.loads(printed)["segments"]
    # What came before the first mark, then a segment and what lies between two of them in turns.
    if len(totals) != 2 * len(segments):
        raise CountingError(f"callgrind wrote {len(totals)} totals for {len(segments)} segments")
    return per_call(segments, totals[1::2])


def by_steps(*options: str) -> Counts:
    """Steps of the interpreter a call: bytecode instructions, frames and calls of C functions.

    Args:
        options: For ``benchmarks.counted``.

    Raises:
        CountingError: The process failed.
    """
    told = json.loads(_run([sys.executable, "-m", "benchmarks.counted", "steps", *options], environment()))
    return per_call(told["segments"], told["totals"])


def _totals(one: Valgrind, arguments: list[str]) -> tuple[str, list[int]]:
    """Run Python under callgrind; what it printed, and what was counted up to each mark since the one before."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        command = [one.program, "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-line=no", *MARKS]
        printed = _run([*command, sys.executable, *arguments], {**environment(), **one.environment()})
        totals = []
        while (dump := out.with_name(f"out.{len(totals) + 1}")).exists():
            found = TOTALS.search(dump.read_text())
            if found is None:
                raise CountingError(f"no total in what callgrind wrote: {dump.read_text()[-200:]}")
            totals.append(int(found[1]))
        return printed, totals


def _run(command: Sequence[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CountingError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


def per_call(segments: Sequence[tuple[str, int]], totals: Sequence[int]) -> Counts:
    """What a call takes, of each path.

    Args:
        segments: The path and the number of calls, of each segment; of each path there are two numbers.
        totals: What was counted in it.
    """
    by_length: dict[str, dict[int, list[int]]] = {}
    for (name, calls), total in zip(segments, totals, strict=True):
        by_length.setdefault(name, {}).setdefault(calls, []).append(total)
    counts = {}
    for name, found in by_length.items():
        short, long = sorted(found)
        counts[name] = (min(found[long]) - min(found[short])) / (long - short)
    return counts


def ratios(counts: Counts) -> Counts:
    """Each as a multiple of the wrapper that does nothing, of its kind."""
    return {name: count / counts[ASYNC if "async, " in name else SYNC] for name, count in counts.items()}
