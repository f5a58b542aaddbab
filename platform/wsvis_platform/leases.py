"""Single-flight: whoever asks, an artifact is computed once.

A lease is an operating-system lock on a file of the store. The kernel frees it when its holder
dies, however it dies, so there is no time-out to tune and no stale lease to clean. It is
authoritative: the check "is it there?" is made again with the lease held, so two trials, or two
drivers, that ask at the same moment get one computation. On one machine, and on shared file
systems whose locks reach over nodes (NFSv4, EFS).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import filelock

from wsvis_platform.store import Store


@contextlib.contextmanager
def lease(store: Store, key: str) -> Iterator[bool]:
    """Hold the right to compute ``key``; waits while somebody else has it.

    Yields:
        Whether it had to wait (the artifact is then probably there already).
    """
    lock = filelock.FileLock(store.lease_path(key))
    waited = False
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        waited = True
        lock.acquire()
    try:
        yield waited
    finally:
        # the file stays: removing it would let a waiter and a newcomer lock two different files
        lock.release()
