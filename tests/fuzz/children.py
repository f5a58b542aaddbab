"""Cases run in forked children, so that a crash, a hang or a full memory is seen and named."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

MEMORY = 1 << 30
"""Bytes a case may take over the start."""
SECONDS = 10
"""Of processor time a case may take."""
STALLED = 300
"""Seconds after which a case that takes no processor time counts as waiting for ever."""


def first_failure(
    cases: range, run: Callable[[int], None], until: float
) -> tuple[int, int, str | None]:
    """Run cases one after the other in one child until one fails or time is up.

    Args:
        cases: their numbers.
        run: one case; whatever it raises is a failure.
        until: ``time.monotonic()`` after which no case is begun.

    Returns:
        How many were begun, the number of the last one, and what went wrong with it or ``None``.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(cases, run, until, writing)
    os.close(writing)
    begun, last, failure = 0, cases.start, ""
    used, since = _seconds_of(child), time.monotonic()
    reason = None
    while True:
        ready, _, _ = select.select([reading], [], [], 0.2)
        if ready:
            text = os.read(reading, 1 << 16).decode(errors="replace")
            if not text:
                break
            failure += text
            starts = [line for line in failure.split("\n") if line.startswith("case ")]
            if len(starts) != begun:
                begun, last = len(starts), int(starts[-1].split()[1])
                used, since = _seconds_of(child), time.monotonic()
        elif _seconds_of(child) - used > SECONDS:
            reason = f"takes more than {SECONDS} s"
        elif time.monotonic() - since > STALLED:
            reason = f"waits for {STALLED} s"
        if reason:
            os.kill(child, signal.SIGKILL)
            break
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if reason is None and status != 0:
        reason = failure.partition("failed ")[2] or f"ended with status {status}"
    return begun, last, reason


def _child(cases: range, run: Callable[[int], None], until: float, writing: int) -> None:
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in cases:
            if time.monotonic() > until:
                break
            os.write(writing, f"case {number}\n".encode())
            run(number)
        status = 0
    except BaseException:
        os.write(writing, f"failed {traceback.format_exc()[-3000:]}\n".encode())
    finally:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        os._exit(status)


def _seconds_of(process: int) -> float:
    """Processor time of a child so far."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
