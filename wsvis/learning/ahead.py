"""Batches made by a thread while the network is busy with the ones before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def made_ahead(make: Callable[[int], T], start: int, steps: int) -> Iterator[T]:
    """Batches of the steps ``start`` to ``steps``, each made while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(make, start) if start < steps else None
        for step in range(start, steps):
            assert following is not None
            batch = following.result()
            following = thread.submit(make, step + 1) if step + 1 < steps else None
            yield batch
