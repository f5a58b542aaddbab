"""Slow twin of wsvis.maskconsist: sets, loops and brute force, straight from Sec. 3.3.

An instance is a dict: box (x0, y0, x1, y1), label, mask (a set of (row, column)), score.
"""

import itertools
import math

from reference.warp_masks import warp_mask


def box_iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    both = width * height
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / either if either else 0.0


def mask_iou(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


def iom(a, b):
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0


def tight_box(mask):
    if not mask:
        return (0, 0, 0, 0)
    rows, columns = [r for r, _ in mask], [c for _, c in mask]
    return (min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def instance(mask, label, score):
    return {"box": tight_box(mask), "label": label, "mask": mask, "score": score}


def warp(mask, flow):
    """flow: nested lists [H][W][2]."""
    height, width = len(flow), len(flow[0])
    grid = [[(row, column) in mask for column in range(width)] for row in range(height)]
    moved = warp_mask(grid, flow)
    return {(r, c) for r in range(height) for c in range(width) if moved[r][c]}


def warp_nearest(mask, flow, every):
    """mask: nested lists; its value at the pixel nearest to x + F(x), for every n-th x."""
    height, width = len(mask), len(mask[0])
    out = []
    for row in range(every // 2, height, every):
        for column in range(every // 2, width, every):
            x, y = column + flow[row][column][0], row + flow[row][column][1]
            if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
                nearest = (
                    min(math.floor(y + 0.5), height - 1),
                    min(math.floor(x + 0.5), width - 1),
                )
                out.append(mask[nearest[0]][nearest[1]])
            else:
                out.append(False)
    return out


def overlaps(p, q, threshold, overlap):
    if p["label"] != q["label"]:
        return False
    if overlap == "box":
        return box_iou(p["box"], q["box"]) > threshold
    return mask_iou(p["mask"], q["mask"]) > threshold


def intra(predictions, labels, threshold=0.5, overlap="box"):
    expanded = list(predictions)
    for q in labels:
        members = [p for p in predictions if overlaps(p, q, threshold, overlap)]
        if len(members) >= 2:
            union = set().union(*[p["mask"] for p in members])
            expanded.append(instance(union, q["label"], max(p["score"] for p in members)))
    return expanded


def weights(a, b, flow_ba):
    carried = [warp(p["mask"], flow_ba) for p in a]
    return [
        [mask_iou(m, q["mask"]) if p["label"] == q["label"] else 0.0 for q in b]
        for p, m in zip(a, carried, strict=True)
    ]


def best_total(e):
    """Greatest total weight of a one-to-one matching, by trying all (few candidates only)."""
    if not e or not e[0]:
        return 0.0
    if len(e) > len(e[0]):
        e = [list(column) for column in zip(*e, strict=True)]
    return max(
        sum(e[i][j] for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(len(e[0])), len(e))
    )


def algorithm_1(a, b, pairs, labels_a, flow_ba, threshold=0.5, overlap="box"):
    new = []
    for i, j in pairs:
        for q in labels_a:
            if overlaps(a[i], q, threshold, overlap):
                merged = warp(a[i]["mask"], flow_ba) | b[j]["mask"]
                score = max(a[i]["score"], b[j]["score"])
                new.append(instance(merged, a[i]["label"], score))
                break
    return new


def iom_nms(instances, threshold=0.5, first=0):
    def rank(n):
        return (n >= first, -len(instances[n]["mask"]), n)

    kept = []
    for n in sorted(range(len(instances)), key=rank):
        rivals = [k for k in kept if instances[k]["label"] == instances[n]["label"]]
        if all(iom(instances[n]["mask"], instances[k]["mask"]) <= threshold for k in rivals):
            kept.append(n)
    return sorted(kept)
