"""Slow twin of wsvis.tracking.cutouts: masks carried along the flow, pixel by pixel."""

import math


def warp_mask(mask, backward_flow):
    """[m(x + F(x)) >= 0.5], bilinear; the outermost pixel reaches half a pixel outward."""
    height, width = len(mask), len(mask[0])
    out = [[False] * width for _ in range(height)]
    for row in range(height):
        for column in range(width):
            x = column + float(backward_flow[row][column][0])
            y = row + float(backward_flow[row][column][1])
            if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
                continue
            x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
            left, top = math.floor(x), math.floor(y)
            value = 0.0
            for i in (top, top + 1):
                for j in (left, left + 1):
                    if i < height and j < width and mask[i][j]:
                        value += (1 - abs(y - i)) * (1 - abs(x - j))
            out[row][column] = value >= 0.5
    return out


def iou(a, b):
    """Shared pixels over pixels of either."""
    both = either = 0
    for row_a, row_b in zip(a, b, strict=True):
        for one, other in zip(row_a, row_b, strict=True):
            both += bool(one) and bool(other)
            either += bool(one) or bool(other)
    return both / either if either else 0.0
