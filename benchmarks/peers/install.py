"""Install the pinned peers: ``python -m benchmarks.peers.install``. One that is gone stops nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REASONS = Path(sys.prefix) / "peers-not-installed.json"
"""Distribution → why it could not be installed; beside the packages it is about."""


def requirements(text: str) -> list[str]:
    """The pins of the dependency group."""
    pins: list[str] = tomllib.loads(text)["dependency-groups"]["bench-peers"]
    return pins


def reason(errors: str) -> str:
    """The line of pip's that says why, in its own words."""
    said = [line.removeprefix("ERROR: ") for line in errors.splitlines() if line.startswith("ERROR: ")]
    return said[-1] if said else "pip failed without a reason"


def _pip(*what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *what]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def install(pins: list[str]) -> dict[str, str]:
    """Install all of them, or as many as can be; give the reasons for the others."""
    if _pip(*pins).returncode == 0:
        return {}
    reasons = {}
    for pin in pins:
        done = _pip(pin)
        if done.returncode:
            reasons[pin.partition("==")[0]] = f"{pin}: {reason(done.stderr)}"
    return reasons


def known_reasons() -> dict[str, str]:
    """What an earlier installation into this environment left out."""
    if not REASONS.exists():
        return {}
    reasons: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8"))
    return reasons


def main() -> int:
    """Install, and say what could not be."""
    reasons = install(requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    REASONS.write_text(json.dumps(reasons), encoding="utf-8")
    for name, why in reasons.items():
        print(f"not installed: {name} ({why})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
