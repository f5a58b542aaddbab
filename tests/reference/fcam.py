"""f-CAM and what is made of it, pixel by pixel."""

from __future__ import annotations


def percentile(values, share):
    """Linear between the two nearest order statistics."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def moving_mask(magnitude, share, floor):
    threshold = max(percentile([m for row in magnitude for m in row], share), floor)
    return [[m > threshold for m in row] for row in magnitude]


def fcam(cam, moving, amplification):
    """Eq. 2: CAM_c(x) * A ** I(x)."""
    return [
        [[value * amplification ** int(moving[y][x]) for x, value in enumerate(row)]
         for y, row in enumerate(single)]
        for single in cam
    ]  # fmt: skip


def saturate_jointly(maps):
    height, width = len(maps[0]), len(maps[0][0])
    out = [[[0.0] * width for _ in range(height)] for _ in maps]
    for y in range(height):
        for x in range(width):
            largest = max(single[y][x] for single in maps)
            for k, single in enumerate(maps):
                out[k][y][x] = single[y][x] / max(1.0, largest)
    return out


def label_map(maps, class_ids, threshold, height, width):
    out = [[0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            scores = [threshold] + [single[y][x] for single in maps]
            winner = max(range(len(scores)), key=lambda k: (scores[k], -k))
            out[y][x] = 0 if winner == 0 else class_ids[winner - 1] + 1
    return out


def ir_labels(maps, class_ids, foreground_threshold, background_threshold, height, width):
    strict = label_map(maps, class_ids, foreground_threshold, height, width)
    lenient = label_map(maps, class_ids, background_threshold, height, width)
    out = [[255] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            if strict[y][x] != 0:
                out[y][x] = strict[y][x]
            elif lenient[y][x] == 0:
                out[y][x] = 0
    return out


def components(region):
    """4-connected components as sets of (y, x), found by flooding."""
    left = {(y, x) for y, row in enumerate(region) for x, inside in enumerate(row) if inside}
    found = []
    while left:
        edge = [left.pop()]
        component = set(edge)
        while edge:
            y, x = edge.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    component.add(near)
                    edge.append(near)
        found.append(component)
    return found


def pseudo_masks(maps, class_ids, threshold, min_area, height, width):
    """Set of (class, score, pixels)."""
    labels = label_map(maps, class_ids, threshold, height, width)
    found = []
    for single, class_id in zip(maps, class_ids, strict=True):
        region = [[label == class_id + 1 for label in row] for row in labels]
        for pixels in components(region):
            if len(pixels) >= min_area * (height * width):
                mean = sum(single[y][x] for y, x in pixels) / len(pixels)
                score = (mean * len(pixels) / (height * width)) ** 0.5
                found.append((class_id, score, frozenset(pixels)))
    return found
