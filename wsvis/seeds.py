"""One seed per run, split by name, so that stages draw independent random numbers."""

from __future__ import annotations

import hashlib


def stage_seed(seed: int, stage: str) -> int:
    """The run's seed split by stage: 0..2^31 - 1, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}".encode()).digest()[:4]) >> 1
