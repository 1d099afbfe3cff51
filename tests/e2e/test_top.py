"""``resilix top`` on running services: what it shows, and what it says when they are not there."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.interruptible import INTERRUPTIBLE

ROOT = Path(__file__).parents[2]
TOP = [sys.executable, "-W", "error", "-m", "resilix", "top"]


class Service:
    """A service in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.support.top_service"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(name="services", scope="module")
def two_services() -> Iterator[list[Service]]:
    """Two workers of one service."""
    services = [Service(), Service()]
    yield services
    for service in services:
        service.stop()


def nobody() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/health"


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run([*TOP, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("path", ["health", "metrics"])
def test_workers_are_put_together_by_name(services: list[Service], path: str) -> None:
    """Both see quotes open and stock closed; one that is down is named in a line, and the others are shown."""
    gone = nobody()
    done = top("--once", "--interval", "0.3", *(f"{one.url}/{path}" for one in services), gone)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "2 of 3 answering, 1 of 2 breakers not closed"
    assert lines[1] == f"{gone}: connection refused"
    quotes, stock = (next(line.split("  ") for line in lines if line.startswith(name)) for name in ("quotes", "stock"))
    assert "open 2/2" in [cell.strip() for cell in quotes]
    assert "closed 2/2" in [cell.strip() for cell in stock]
    assert any(line.startswith("quotes") and "0/8" in line for line in lines), "the bulkheads of both"


@pytest.mark.parametrize("path", ["health", "metrics"])
def test_rates_are_those_of_the_service(services: list[Service], path: str) -> None:
    """Stock is called about 100 times a second by each; quotes refuses as many."""
    done = top("--once", "--interval", "0.5", f"{services[0].url}/{path}")
    table = [line.split() for line in done.stdout.splitlines()]
    header = next(line for line in table if line[:1] == ["breaker"])
    stock = next(line for line in table if line[:1] == ["stock"])
    # The columns from the right: reason may be of several words.
    rate = {title: float(stock[index - len(header)]) for index, title in enumerate(header) if title.endswith("/s")}
    assert rate["calls/s"] > 10
    assert rate["failed/s"] == rate["refused/s"] == 0


def test_nobody_there_is_status_1() -> None:
    """With one line for each URL that says why."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}/health"
        done = top("--once", "--interval", "0.1", "--timeout", "0.3", hung)
    assert done.returncode == 1
    assert f"{hung}: no answer in time" in done.stdout


def test_what_is_no_endpoint_of_ours_is_named(services: list[Service]) -> None:
    """Another path of the same service."""
    done = top("--once", "--interval", "0.1", f"{services[0].url}/nonsense")
    assert "/nonsense: status 404" in done.stdout


def test_nonsense_options_are_refused() -> None:
    """Status 2 and one line."""
    for arguments in ([], ["--interval", "0", "http://x/"], ["--timeout", "soon", "http://x/"], ["127.0.0.1:80"]):
        done = top(*arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.startswith("resilix top: error: "), done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_it_goes_on_while_a_service_dies_and_ctrl_c_ends_it() -> None:
    """Piped, one block for each look; the block after the death says so."""
    service = Service()
    command = [*INTERRUPTIBLE, "top", "--interval", "0.2", f"{service.url}/health"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("1 of 1 answering")
    service.stop()
    for line in process.stdout:
        if "connection refused" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "Traceback" not in rest


def test_a_reader_that_leaves_ends_it_quietly(services: list[Service]) -> None:
    """``resilix top … | head -1``."""
    command = f"{' '.join(TOP)} --interval 0.1 {services[0].url}/health | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("1 of 1 answering")
    assert done.stderr == ""


def test_a_terminal_is_refreshed_in_place(services: list[Service]) -> None:
    """On a terminal it takes the whole screen, and gives it back."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    command = [*INTERRUPTIBLE, "top", "--interval", "0.2", f"{services[0].url}/health"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    end = time.monotonic() + 15
    while b"quotes" not in seen and time.monotonic() < end:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert process.wait(timeout=10) == 0
    assert b"\x1b[?1049h" in seen, "the alternate screen is entered"
    assert b"\x1b[?1049l" in seen, "and left"
    assert b"quotes" in seen


def test_health_answers_what_health_gives(services: list[Service]) -> None:
    """The endpoint it reads is the JSON of ``resilix.health()``."""
    import urllib.request

    with urllib.request.urlopen(f"{services[0].url}/health", timeout=5) as answer:
        told = json.loads(answer.read())
    assert told["status"] == "degraded"
    assert {one["name"] for one in told["breakers"]} == {"quotes", "stock"}
