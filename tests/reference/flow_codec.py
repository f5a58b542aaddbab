"""What the codec keeps of a field, cell by cell."""

from __future__ import annotations

from itertools import pairwise

from reference.flow_field import area_mean


def step_for(largest):
    """Pixels per unit: 1/32, doubled until ``largest`` is no more than 32766 units."""
    step = 1 / 32
    while largest / step > 32766:
        step *= 2
    return step


def kept(flow, stride, step):
    """The coarser grid, each component rounded to a multiple of ``step`` (halves to even)."""
    return [
        [[round(value / step) * step for value in cell] for cell in row]
        for row in area_mean(flow, stride)
    ]


def differences(row):
    """First value, then each minus its left neighbour."""
    return [row[0]] + [b - a for a, b in pairwise(row)]
