"""Every wait has a deadline, and a sentence that says what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """What was waited for did not come in time: one sentence, with what was seen last."""


class NotYet(Exception):
    """Raised by what is looked at, with what it saw, while that is not what is waited for."""


def wait_until(look: Callable[[], T], seconds: float, what: str, every: float = 0.2) -> T:
    """The first true thing that `look` returns.

    Raises Overdue with `what` (what was waited for) after `seconds`. An OSError or a NotYet that
    `look` raises means "not yet", and the last one is in the sentence.
    """
    deadline = time.monotonic() + seconds
    seen = ""
    while True:
        try:
            if found := look():
                return found
            seen = ""
        except (OSError, NotYet) as error:
            seen = f"; last seen: {error}"
        if time.monotonic() >= deadline:
            raise Overdue(f"waited {seconds:g} s in vain for {what}{seen}")
        time.sleep(every)
