"""Run the command line so that it answers SIGINT: what a shell runs in the background ignores it, its children too."""

from __future__ import annotations

import sys
from typing import Final

_CODE: Final = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from resilix.__main__ import main; sys.exit(main(sys.argv[1:]))"
)
INTERRUPTIBLE: Final = [sys.executable, "-c", _CODE]
"""The command ``resilix``; its arguments follow."""
