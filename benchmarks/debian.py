"""Programs of other projects that tests and benchmarks need, taken from Debian's packages.

A fresh machine has Python and make. What else is needed is unpacked below the virtual environment and goes with it; no
right to install is needed, and nothing is left on the machine.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHELF = Path(sys.prefix) / "debian"
"""Below it, one directory for each package."""


@functools.cache
def unpacked(package: str) -> Path | None:
    """The root of an unpacked package, fetched on first use; ``None`` where apt cannot. Asked once a process.

    Example::

        root = unpacked("prometheus")  # root / "usr/bin/promtool"

    Args:
        package: Its name in Debian.
    """
    root = SHELF / package
    if not root.is_dir():
        with _alone():
            if not root.is_dir():
                _fetch(package, root)
    return root if root.is_dir() else None


def _fetch(package: str, root: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return
    with tempfile.TemporaryDirectory(dir=SHELF) as directory:
        there = Path(directory)
        for update in (False, True):
            if update:
                _done(there, "apt-get", "update")
            _done(there, "apt-get", "download", package)
            for archive in there.glob(f"{package}_*.deb"):
                if _done(there, "dpkg-deb", "-x", str(archive), str(there / "root")):
                    (there / "root").rename(root)  # all of it or nothing
                return


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: the tests may run twice at once, woven and plain."""
    try:
        import fcntl
    except ImportError:
        yield  # nor is there any apt
        return
    SHELF.mkdir(exist_ok=True)
    with (SHELF / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _done(there: Path, *command: str) -> bool:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, cwd=there, capture_output=True, timeout=120, check=False).returncode == 0
    return False
