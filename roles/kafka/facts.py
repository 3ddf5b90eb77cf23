"""The disk that a broker's data lie on, or will lie on."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase


class DataDisk(FactBase[int]):
    """The size in bytes of the file system that holds /var/lib/kafka, or will hold it."""

    default = int

    def command(self) -> str:
        look = "for d in /var/lib/kafka/data /var/lib/kafka /var/lib; do [ -e $d ] && break; done"
        return f"{look}; df --block-size=1 --output=size $d"

    def process(self, output: Iterable[str]) -> int:
        return next(int(line) for line in output if line.strip().isdigit())
