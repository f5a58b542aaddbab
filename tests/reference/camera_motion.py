"""Camera fields and robust weights, one cell at a time."""

from __future__ import annotations

import statistics


def median_residual(flow):
    cells = [cell for row in flow for cell in row]
    middle = [statistics.median(cell[c] for cell in cells) for c in (0, 1)]
    return [[[cell[0] - middle[0], cell[1] - middle[1]] for cell in row] for row in flow]


def affine_field(height, width, matrix):
    """(u, v) = matrix @ (x, y, 1), x and y counted in cells."""
    return [
        [[row[0] * x + row[1] * y + row[2] for row in matrix] for x in range(width)]
        for y in range(height)
    ]


def homography_field(height, width, matrix, spacing):
    """Where matrix sends the centre of each cell, minus the centre, in pixels of the frame."""
    field = []
    for row in range(height):
        line = []
        for column in range(width):
            x, y = (column + 0.5) * spacing - 0.5, (row + 0.5) * spacing - 0.5
            a, b, depth = (r[0] * x + r[1] * y + r[2] for r in matrix)
            line.append([a / depth - x, b / depth - y])
        field.append(line)
    return field


def tukey_weights(residuals, smallest_cut):
    cut = max(4.685 * statistics.median(residuals) / 1.1774, smallest_cut)
    return [(1 - (r / cut) ** 2) ** 2 if abs(r) < cut else 0.0 for r in residuals]
