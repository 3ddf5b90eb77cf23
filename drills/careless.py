"""A consumer as most tutorials write it, with one of its two mistakes. The control that must lose.

    python -m drills.careless BOOTSTRAP TOPIC GROUP FILE latest|auto-commit

Each record's sequence goes into FILE; with automatic commits, a while after its offset was
committed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from standfast.records import record_of

SLOWLY = 1.0  # seconds that its sink takes for a batch
BATCH = 2000  # records that it holds at most, so that it keeps up with its feed
MISTAKES = {
    "latest": {"auto.offset.reset": "latest", "enable.auto.commit": "false"},
    "auto-commit": {
        "auto.offset.reset": "earliest",
        "enable.auto.commit": "true",
        "auto.commit.interval.ms": "100",
    },
}


def main() -> None:
    """Consume until killed."""
    from standfast import clients

    bootstrap, topic, group, file, mistake = sys.argv[1:]
    consumer = clients.consumer(MISTAKES[mistake], bootstrap.split(","), group_id=group)
    consumer.subscribe([topic])
    while True:
        messages = [message for message in consumer.consume(BATCH, 0.5) if not message.error()]
        if not messages:
            continue
        with Path(file).with_suffix(".holds").open("w") as holds:
            holds.write(str(len(messages)))
        time.sleep(SLOWLY)
        records = [record_of(message, topic) for message in messages]
        with Path(file).open("a") as sink:
            sink.write("".join(f"{r.feed} {r.sequence}\n" for r in records))
        Path(file).with_suffix(".holds").unlink()


if __name__ == "__main__":
    main()
