"""The one kind of error that a person can cause or cure."""

from __future__ import annotations


class BuildError(Exception):
    """Something a person has to act on.

    `place` names what it is about (a file, a jar, a tool), `what` says what is wrong and what
    to do.
    """

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}")
        self.place = place
        self.what = what
