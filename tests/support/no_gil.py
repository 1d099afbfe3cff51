"""A pytest plugin: resilix as on an interpreter without a GIL. ``-p tests.support.no_gil``."""

import sys

sys._is_gil_enabled = lambda: False  # asked once, when resilix is imported
