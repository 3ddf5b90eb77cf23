"""Plausible trades, the same ones for the same seed: what the drills and the demo feed."""

from __future__ import annotations

import json
from hashlib import blake2b

# Symbol and a price in cents around which it trades.
SYMBOLS = (
    ("AMBR", 4_210), ("BRKS", 18_875), ("CLYN", 910), ("DORV", 7_340), ("ELMO", 23_105),
    ("FENN", 1_565), ("GALE", 5_990), ("HOLM", 12_450), ("IRIS", 3_380), ("JUNO", 66_720),
    ("KESR", 2_045), ("LARK", 9_815), ("MIRA", 1_120), ("NORD", 31_260), ("OPAL", 8_435),
    ("PYRE", 540), ("QUIN", 14_990), ("RHEA", 2_785), ("SOLN", 40_115), ("TERN", 6_655),
)  # fmt: skip
SIDES = ("buy", "sell")
VENUES = ("XALP", "XBET", "XGAM", "XDEL")


def trade(seed: int, sequence: int) -> tuple[bytes, bytes]:
    """Key (the symbol) and value (JSON) of trade number `sequence` of the series `seed`.

    The price is a decimal string, as money should be; the quantity a whole number.
    """
    dice = blake2b(b"%d.%d" % (seed, sequence), digest_size=12).digest()
    symbol, around = SYMBOLS[dice[0] % len(SYMBOLS)]
    cents = around + around * (dice[1] - 128) // 4_000
    value = {
        "trade_id": f"{seed:x}-{sequence:010d}",
        "symbol": symbol,
        "side": SIDES[dice[2] & 1],
        "price": f"{cents // 100}.{cents % 100:02d}",
        "quantity": (1 + dice[3] % 50) * 10,
        "account": f"A{int.from_bytes(dice[4:6], 'big') % 5_000:05d}",
        "venue": VENUES[dice[6] & 3],
        "nonce": dice[7:].hex(),
    }
    return symbol.encode(), json.dumps(value, separators=(",", ":")).encode()
