"""Idempotency keys: the same on each attempt of one call, so that a server acts once.

After draft-ietf-httpapi-idempotency-key-header (a structured-field String, so in quotes). Many services take the bare
text instead.
"""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from resilix.core.options import refuse

KeyForm: TypeAlias = Literal["quoted", "bare"] | Callable[[], str]
"""How a key is written, or a function that makes one."""

HEADER: Final = "Idempotency-Key"
VALUE: Final = re.compile(r"[\x21-\x7e]{1,255}")
"""Visible ASCII: what is safe in a header and as a key."""


def new_key(form: KeyForm) -> str:
    """Make the key of one call; a random UUID, which nobody can guess.

    Example::

        new_key("quoted")  # '"8e03978e-40d5-43dd-bc93-6894a57f9324"'

    Args:
        form: "quoted" or "bare", or a function of the user's that makes the whole value.

    Raises:
        ConfigurationError: The function gave what no header can hold.
    """
    if form == "quoted":
        return f'"{uuid.uuid4()}"'
    if form == "bare":
        return str(uuid.uuid4())
    made: object = form()
    if inspect.iscoroutine(made):
        made.close()  # or Python would complain that nobody awaited it
    if not (isinstance(made, str) and VALUE.fullmatch(made)):
        raise refuse(
            "standard",
            "idempotency_key",
            form,
            f"it gave {made!r}, and a key is 1 to 255 visible ASCII characters",
            'write idempotency_key="quoted", or return a str',
        )
    return made


def has_key(headers: Any) -> bool:
    """Whether the caller has given the request a key. An empty one tells nothing apart, so it is none."""
    return bool(headers.get(HEADER, "").strip())
