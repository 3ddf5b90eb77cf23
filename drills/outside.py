"""The way back out of the lab's network: its hosts are switched on and off from outside it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

NETWORK = 0x40000000  # CLONE_NEWNET
# This machine's own network. Imported before connect.begin() enters the lab's.
_HOME = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def outside() -> Iterator[None]:
    """This thread, and what it starts, is in this machine's own network for the block."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(_HOME)
        yield
    finally:
        _enter(here)
        os.close(here)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot change the network namespace: {os.strerror(number)}")
