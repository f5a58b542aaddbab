"""Which pixel pairs are compared, and the pixels on the line between the two.

IRN (Ahn et al. 2019) compares every pair closer than a radius. Each unordered pair is
kept once, as a source pixel and an offset (dy, dx) in the half plane dy > 0 or (dy = 0, dx > 0).
A pair at the rim of the image is simply absent: the source window leaves ``radius - 1`` cells free
at the bottom, left and right, so that every offset of every source stays inside.

Legend: B images, h w cells of the grid, P offsets, m n rows and columns of the source window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Shaped
from torch import Tensor

from wsvis.errors import InputError

Cell = tuple[int, int]


@lru_cache
def pair_offsets(radius: int) -> tuple[Cell, ...]:
    """Half-plane offsets (dy, dx) strictly closer than ``radius`` cells, row by row.

    34 of them for radius 5, 152 for radius 10.
    """
    if radius < 2:
        raise ValueError(f"a radius of {radius} holds no pair; it must be at least 2")
    return tuple(
        (dy, dx)
        for dy in range(radius)
        for dx in range(1 - radius, radius)
        if (dy > 0 or dx > 0) and dy * dy + dx * dx < radius * radius
    )


@lru_cache
def line_cells(dy: int, dx: int) -> tuple[Cell, ...]:
    """Cells on the line from (0, 0) to (dy, dx), both ends included, in reading order.

    A cell is on the line when it lies in the bounding box of the two ends and its perpendicular
    distance to the line is strictly less than one cell (the rule of IRN's released code; the paper
    says only "on the line"). In integers: (y dx - x dy)^2 < dy^2 + dx^2.
    """
    return tuple(
        (y, x)
        for y in range(min(0, dy), max(0, dy) + 1)
        for x in range(min(0, dx), max(0, dx) + 1)
        if (y * dx - x * dy) ** 2 < dy * dy + dx * dx
    )


def window_size(height: int, width: int, radius: int) -> tuple[int, int]:
    """Rows and columns of source cells on a grid.

    Raises:
        InputError: the grid is too small to hold one pair at every offset.
    """
    rows, columns = height - (radius - 1), width - 2 * (radius - 1)
    if rows < 1 or columns < 1:
        raise InputError(
            f"a {height}x{width} grid (of cells of 4 pixels) is too small for radius {radius}; it "
            f"must be at least {radius}x{2 * radius - 1}: use larger frames, or a smaller "
            "irn.radius_train or walk.radius"
        )
    return rows, columns


def pair_sources(values: Shaped[Tensor, "*b h w"], radius: int) -> Shaped[Tensor, "*b 1 m n"]:
    """The value at each pair's source cell (a view, with an axis to broadcast over offsets)."""
    rows, columns = window_size(values.shape[-2], values.shape[-1], radius)
    return values[..., :rows, radius - 1 : radius - 1 + columns].unsqueeze(-3)


def pair_targets(values: Shaped[Tensor, "*b h w"], radius: int) -> Shaped[Tensor, "*b p m n"]:
    """The value at each pair's other cell, for every offset."""
    rows, columns = window_size(values.shape[-2], values.shape[-1], radius)
    left = radius - 1
    return torch.stack(
        [
            values[..., dy : dy + rows, left + dx : left + dx + columns]
            for dy, dx in pair_offsets(radius)
        ],
        dim=-3,
    )


@dataclass(frozen=True)
class UnionPlan:
    """How the maximum over every line of a radius is built from maxima already known.

    Lines overlap: the maximum over a long line is the maximum of two or three shorter ones, moved.
    Radius 10 takes 179 element-wise maxima in place of 1,982. ``shapes[0]`` is the single cell;
    ``shapes[k]`` is the union of ``parts[k]``, each a known shape and where its first cell goes.
    Cells of a shape are relative to its first cell in reading order, so that on a flattened grid
    every move is a non-negative shift.
    """

    shapes: tuple[tuple[Cell, ...], ...]
    parts: tuple[tuple[tuple[int, Cell], ...], ...]
    lines: tuple[tuple[int, Cell], ...]
    """For each offset of :func:`pair_offsets`: its shape, and the shape's first cell relative to
    the source cell."""


@lru_cache
def union_plan(radius: int) -> UnionPlan:
    """A short :class:`UnionPlan`, found greedily (the largest useful known shape first)."""
    shapes: list[tuple[Cell, ...]] = [((0, 0),)]
    parts: list[tuple[tuple[int, Cell], ...]] = [()]
    lines = {offset: _anchored(line_cells(*offset)) for offset in pair_offsets(radius)}
    for shape, _ in sorted(lines.values(), key=lambda line: (len(line[0]), line)):
        if shape not in shapes:
            parts.append(_cover(shape, shapes))
            shapes.append(shape)
    return UnionPlan(
        shapes=tuple(shapes),
        parts=tuple(parts),
        lines=tuple((shapes.index(shape), first) for shape, first in lines.values()),
    )


def _anchored(cells: tuple[Cell, ...]) -> tuple[tuple[Cell, ...], Cell]:
    first_y, first_x = cells[0]
    return tuple((y - first_y, x - first_x) for y, x in cells), cells[0]


def _cover(shape: tuple[Cell, ...], known: list[tuple[Cell, ...]]) -> tuple[tuple[int, Cell], ...]:
    """Known shapes, moved, whose union is exactly ``shape`` (greedy set cover)."""
    inside, left = set(shape), set(shape)
    chosen: list[tuple[int, Cell]] = []
    while left:
        best, best_gain = (0, shape[0]), 0
        for index in reversed(range(len(known))):  # large shapes first: they end the search early
            part = known[index]
            if len(part) <= best_gain:
                continue
            for move in shape:
                if not all((y + move[0], x + move[1]) in inside for y, x in part):
                    continue
                gain = sum((y + move[0], x + move[1]) in left for y, x in part)
                if gain > best_gain:
                    best, best_gain = (index, move), gain
        chosen.append(best)
        index, move = best
        left -= {(y + move[0], x + move[1]) for y, x in known[index]}
    return tuple(chosen)
