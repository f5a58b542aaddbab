"""FCOS: every cell of the pyramid is a location that may stand for an object (Tian et al. 2019).

L locations of all levels, N objects. Boxes xyxy, distances (left, top, right, bottom), pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

SIZE_PER_STRIDE = 8
"""A level is responsible for objects whose longest distance is up to 8 of its strides (FCOS: 64 at
stride 8), beyond half of that; the coarsest for all that are larger."""


@dataclass(frozen=True)
class Locations:
    """Where the cells of the pyramid's levels lie in the image."""

    centres: Float[Tensor, "L 2"]
    """(x, y)."""
    strides: Float[Tensor, " L"]
    limits: Float[Tensor, "L 2"]
    """Longest distance an object of this location may have: more than, up to."""

    @property
    def scales(self) -> Float[Tensor, " L"]:
        """Size of interest: what CondInst divides relative coordinates by."""
        return self.strides * SIZE_PER_STRIDE


def locations(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device
) -> Locations:
    """Of levels with these rows and columns, finest first."""
    centres, steps, limits = [], [], []
    for number, ((rows, columns), stride) in enumerate(zip(shapes, strides, strict=True)):
        y = (torch.arange(rows, device=device) + 0.5) * stride
        x = (torch.arange(columns, device=device) + 0.5) * stride
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1).reshape(-1, 2)
        low = 0.0 if number == 0 else SIZE_PER_STRIDE * stride / 2
        high = float("inf") if number == len(strides) - 1 else float(SIZE_PER_STRIDE * stride)
        centres.append(grid)
        steps.append(torch.full((len(grid),), float(stride), device=device))
        limits.append(torch.tensor([low, high], device=device).expand(len(grid), 2))
    return Locations(torch.cat(centres), torch.cat(steps), torch.cat(limits))


def distances(centres: Float[Tensor, "L 2"], boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "L N 4"]:
    """From every location to the four sides of every box; negative where it lies outside."""
    x, y = centres[:, None, 0], centres[:, None, 1]
    sides = [x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y]
    return torch.stack(sides, -1)


def decode(
    centres: Float[Tensor, "*B L 2"], sides: Float[Tensor, "*B L 4"]
) -> Float[Tensor, "*B L 4"]:
    """Boxes from locations and distances: the inverse of :func:`distances`."""
    return torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], -1)


def assign(where: Locations, boxes: Float[Tensor, "N 4"], radius: float) -> Int64[Tensor, " L"]:
    """The object each location learns, -1 for none.

    Tian et al. 2019 (FCOS), Sec. 3.1 and 3.2: it must lie in the box and near its middle (centre
    sampling), the longest distance must suit its level, and of several objects the smallest counts.

    Args:
        where: the locations.
        boxes: of the objects.
        radius: of centre sampling, strides.
    """
    if not len(boxes):
        return torch.full((len(where.centres),), -1, device=boxes.device)
    sides = distances(where.centres, boxes)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = (where.centres[:, None] - middle).abs().amax(-1) < radius * where.strides[:, None]
    longest = sides.amax(-1)
    suits = (longest > where.limits[:, :1]) & (longest <= where.limits[:, 1:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1).expand(len(sides), -1)
    area = torch.where((sides.amin(-1) > 0) & near & suits, area, float("inf"))
    smallest, chosen = area.min(1)
    return torch.where(smallest.isfinite(), chosen, -1)


def centreness(sides: Float[Tensor, "P 4"]) -> Float[Tensor, " P"]:
    """sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)): 1 in the middle, 0 at a side.

    Tian et al. 2019 (FCOS), Sec. 3.3, Eq. 3.
    """
    across, along = sides[:, [0, 2]], sides[:, [1, 3]]
    shares = across.amin(1) / across.amax(1) * along.amin(1) / along.amax(1)
    return shares.clamp_min(0).sqrt()
