"""Run a program, wait for a condition: both with a deadline, both with a plain sentence."""

import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class LabError(Exception):
    """What is wrong and what to do, in one line; `place` is where (a file, a host, a setting)."""

    def __init__(self, place: str, what: str, *, usage: bool = False) -> None:
        super().__init__(f"{place}: {what}")
        self.exit_code = 2 if usage else 1


def run(
    *command: str | Path,
    place: str,
    stdin: str = "",
    seconds: float = 60,
    check: bool = True,
    pass_fds: Sequence[int] = (),
) -> str:
    """Return the standard output of `command`; LabError with its last words when it fails."""
    argv = [str(part) for part in command]
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            pass_fds=pass_fds,
        )
    except FileNotFoundError:
        raise LabError(place, f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(place, f"`{' '.join(argv)}` had not ended after {seconds:g} s") from None
    if check and done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise LabError(place, f"`{' '.join(argv)}` failed ({done.returncode}): {words[-1]}")
    return done.stdout


def wait_until(
    condition: Callable[[], bool], seconds: float, place: str, what: str, every: float = 0.05
) -> None:
    """Return as soon as `condition` holds; LabError saying `what` did not happen in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise LabError(place, f"{what}: waited {seconds:g} s in vain")
        time.sleep(every)


def together(tasks: Sequence[Callable[[], object]]) -> None:
    """Run all tasks at once; when all have ended, raise the first failure if there was one."""
    if not tasks:
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(task) for task in tasks]
    for future in futures:
        future.result()
