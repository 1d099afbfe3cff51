"""Scripts that fork, each in a process of its own, because a fork copies everything, the test runner included."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from typing import Any

PREAMBLE = """
import os, signal, sys, threading, time
from resilix import *

def eventually(true):
    while not true():
        time.sleep(0.001)

def in_child(fn):
    # What fn answers in a forked child.
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            os.write(writer, repr(fn()).encode())
        except BaseException as error:
            os.write(writer, repr("child: " + repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return eval(answer) if answer else "the child hung"

def show(*facts):
    print(repr(facts), flush=True)

signal.alarm(60)
"""


def forking(script: str) -> list[Any]:
    """Run a script; what it showed."""
    code = PREAMBLE + textwrap.dedent(script)
    # A fork with threads is what the tests are about, and Python 3.12 warns of it.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return [ast.literal_eval(line) for line in done.stdout.splitlines()]
