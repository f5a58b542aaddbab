"""How long a training is."""

from __future__ import annotations


def bounded_steps(steps: int, least: int = 0, most: int = 0) -> int:
    """A number of updates within bounds, so that 30 frames and 300,000 both make sense.

    Args:
        steps: what the epochs come to.
        least: updates at least.
        most: updates at most; 0 = any number.
    """
    steps = max(steps, least)
    return min(steps, most) if most else steps
