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

from wsvis.passing_faults import passing_fault
from wsvis_platform.store.store import Store


@contextlib.contextmanager
def lease(store: Store, key: str) -> Iterator[bool]:
    """Hold the right to compute ``key``; waits while somebody else has it.

    Yields:
        Whether it had to wait (the artifact is then probably there already).

    Raises:
        PassingFault: the file cannot be locked: it is something else, or the disk cannot do it.
    """
    path = store.lease_path(key)
    lock = filelock.FileLock(path)
    waited = False
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waited = True
            lock.acquire()
    except OSError as error:
        raise passing_fault("the store cannot be locked", error) from None
    try:
        yield waited
    finally:
        # the file stays: removing it would let a waiter and a newcomer lock two different files
        lock.release()


@contextlib.contextmanager
def free_lease(store: Store, key: str) -> Iterator[bool]:
    """:func:`lease`, but without waiting.

    Yields:
        Whether it is held; ``False`` while somebody else computes ``key``.
    """
    lock = filelock.FileLock(store.lease_path(key))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
