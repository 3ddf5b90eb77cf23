"""What differs from one release of Debian or Ubuntu to the next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A release's Python (its version), the package that brings its Java, and its PostgreSQL
    (the lab's sink).
    """

    python: str
    java: str
    postgresql: str


# Kafka 3.9 names Java 8, 11 and 17; trixie has no 17.
RELEASES = {
    "bookworm": Release(python="3.11", java="openjdk-17-jre-headless", postgresql="15"),
    "trixie": Release(python="3.13", java="openjdk-21-jre-headless", postgresql="17"),
    "noble": Release(python="3.12", java="openjdk-17-jre-headless", postgresql="16"),
}
