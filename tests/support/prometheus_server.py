"""A real Prometheus, started and stopped by the tests: from PATH, or Debian's package unpacked by the interpreter."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from benchmarks.debian import unpacked


def tool(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; skips the test where none can be had."""
    found = shutil.which(name)
    if found is None and (root := unpacked("prometheus")) is not None:
        found = shutil.which(name, path=str(root / "usr" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed, and apt could not fetch it: apt-get install prometheus")
    return found


class Prometheus:
    """A running server.

    Attributes:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """Ask its HTTP API; the data of the answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=5) as answer:
            told = json.loads(answer.read())
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[Any]:
        """The result of an expression now."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float:
        """The only value of an expression; not a number when there is none."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else float("nan")

    def wait_for(self, expression: str, seconds: float = 15.0) -> list[Any]:
        """Wait until an expression gives something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.query(expression)
            if result:
                return result
            time.sleep(0.1)
        raise AssertionError(f"nothing after {seconds} s: {expression}")


@contextmanager
def prometheus(directory: Path, targets: list[str], rules: str) -> Iterator[Prometheus]:
    """Run a server that scrapes the targets every 0.25 s, with our rules; it is stopped at the end."""
    (directory / "rules.yml").write_text(rules, encoding="utf-8")
    listed = ", ".join(f'"{target}"' for target in targets)
    (directory / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 250ms, evaluation_interval: 500ms}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: [{listed}]}}]
""",
        encoding="utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        tool("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = (directory / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"})
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        _wait_until_ready(server, process, directory / "log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_until_ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=1):
                return
        except urllib.error.HTTPError as unready:
            unready.close()
        except OSError:  # not there yet
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not start:\n{log.read_text(errors='replace')[-2000:]}")
