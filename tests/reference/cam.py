"""Class activation maps, cell by cell."""

import math


def class_activation_map(features, weight):
    """features: [c][h][w], weight: [C][c], nested lists -> [C][h][w]."""
    maps = []
    for row in weight:
        cells = []
        for y in range(len(features[0])):
            line = []
            for x in range(len(features[0][0])):
                line.append(sum(w * f[y][x] for w, f in zip(row, features, strict=True)))
            cells.append(line)
        maps.append(cells)
    return maps


def relu(single):
    """single: [h][w]."""
    return [[max(value, 0.0) for value in line] for line in single]


def max_normalise(single):
    """single: [h][w]."""
    peak = max(value for line in single for value in line)
    return [[value / (peak + 1e-5) for value in line] for line in single]


def read_linear(values, position):
    """A list of numbers read at a fractional index; its ends go on for ever."""
    position = min(max(position, 0.0), len(values) - 1.0)
    left = math.floor(position)
    right = min(left + 1, len(values) - 1)
    share = position - left
    return (1 - share) * values[left] + share * values[right]


def read_map_at(single, rows, columns):
    """single: [h][w] read at every (row, column)."""
    result = []
    for row in rows:
        line = []
        for column in columns:
            along_columns = [read_linear(values, column) for values in single]
            line.append(read_linear(along_columns, row))
        result.append(line)
    return result


def fuse(maps_of_views, present, height, width):
    """Sum over views, keep the classes present, divide by the peak.

    maps_of_views: one [C][h][w] per scale and flip, after ReLU, each on the frame's grid.
    """
    fused = []
    for label, shown in enumerate(present):
        if not shown:
            continue
        total = [[0.0] * width for _ in range(height)]
        for maps in maps_of_views:
            for y in range(height):
                for x in range(width):
                    total[y][x] += maps[label][y][x]
        fused.append(max_normalise(total))
    return fused
