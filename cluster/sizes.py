"""Sizes as people write them: 20MB, 1.5TiB, 384M."""

from __future__ import annotations

import re

UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50,
}  # fmt: skip


def parse_size(value: object) -> int:
    """Bytes in "2GB" (10^9), "500GiB" (2^30) or a whole number; ValueError where it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", str(value).strip())
    if isinstance(value, bool) or not match or match[2].upper() not in UNITS:
        raise ValueError("must be a size such as 20MB or 500GiB")
    size = int(float(match[1]) * UNITS[match[2].upper()])
    if size < 1:
        raise ValueError("must be more than nothing")
    return size


def parse_heap(value: object) -> int:
    """Bytes in a JVM's heap size, "384M" or "6G" (powers of two); ValueError where it is none."""
    match = re.fullmatch(r"([1-9][0-9]*)([MmGg])", str(value))
    if not match:
        raise ValueError("must be a whole number of M or G such as 384M")
    return int(match[1]) * (2**20 if match[2] in "Mm" else 2**30)


def show_size(size: float) -> str:
    """A size for a person: 3 digits and a decimal unit, "2 GB", "375 MB"."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"
