"""Workers that share a directory, and what whoever is scraped makes of it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds until a worker must have written what it counted."""


class Worker:
    """One process that does what it is told."""

    def __init__(self, directory: Path) -> None:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
        # Forking with threads is what is tested, and Python 3.12 warns of it.
        command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-m", "tests.support.prom_worker"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def tell(self, command: str, number: int) -> Any:
        """Have it do something; what it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {number}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the worker ended while it was told to {command}"
        return ast.literal_eval(answer)

    def leave(self) -> None:
        """Have it end in an orderly way."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=PATIENCE) == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(timeout=PATIENCE)


@contextmanager
def workers(directory: Path, count: int) -> Iterator[list[Worker]]:
    """So many workers; those that are left are killed in the end."""
    made = [Worker(directory) for _ in range(count)]
    try:
        yield made
    finally:
        for worker in made:
            worker.kill()
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    pipe.close()


Series = tuple[str, tuple[str, ...]]


def scraped(directory: Path) -> dict[Series, float]:
    """Everything a scrape shows, by name and the values of the labels in the order of their names."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def eventually(directory: Path, expected: dict[Series, float]) -> dict[Series, float]:
    """Wait until a scrape shows these values; what it shows in all."""
    until = time.monotonic() + PATIENCE
    while True:
        seen = scraped(directory)
        wrong = {series: (seen.get(series), value) for series, value in expected.items() if seen.get(series) != value}
        if not wrong:
            return seen
        assert time.monotonic() < until, f"seen and expected: {wrong}"
        time.sleep(0.02)
