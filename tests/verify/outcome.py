"""How a check ends: as it should be, not, or not settable on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pytest

from cluster.observed import Finding

UNASKED = "cannot be asked: "
UNSETTABLE = "not settable here: "
MOST = 3  # findings of one check that are told in full


def hold(findings: Sequence[Finding]) -> None:
    """End the check: passed where there is no finding."""
    wrong = [finding for finding in findings if finding.settable]
    if wrong:
        pytest.fail(told(wrong), pytrace=False)
    if findings:
        pytest.skip(UNSETTABLE + unset(findings))


def told(findings: Sequence[Finding]) -> str:
    """Each finding as what it is about, and three lines."""
    lines = []
    for f in findings[:MOST]:
        lines += [f.what, f"  expected  {f.expected}"]
        lines += [f"  found     {f.found}", f"  look at   {f.look}"]
    if left := list(dict.fromkeys(f.what for f in findings[MOST:])):
        more = f" and {len(left) - MOST} more" if len(left) > MOST else ""
        lines.append(f"and of {', '.join(left[:MOST])}{more}")
    return "\n".join(lines)


def unset(findings: Sequence[Finding]) -> str:
    """What cannot be set, each reason once."""
    reasons: dict[str, list[str]] = {}
    for f in findings:
        said = f"{f.what} {f.found} in place of {f.expected}"
        reasons.setdefault(f.look, []).append(said)
    return "; ".join(f"{', '.join(said)} ({why})" for why, said in reasons.items())


def unasked(who: str, why: object) -> NoReturn:
    """End the check: it could not be made."""
    pytest.fail(f"{UNASKED}{who}: {why}", pytrace=False)
