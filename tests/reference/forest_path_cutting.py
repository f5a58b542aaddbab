"""Slow twin of wsvis.tracking.forest_path_cutting: lists of paths, as the description has it."""

import math
from itertools import permutations

from reference.warp_masks import iou, warp_mask


def keep_non_overlapping(masks, scores, max_iou):
    """Best score first; whatever overlaps a kept one goes."""
    kept = []
    for n in sorted(range(len(masks)), key=lambda n: -scores[n]):
        empty = not any(any(row) for row in masks[n])
        if not empty and all(iou(masks[n], masks[k]) < max_iou for k in kept):
            kept.append(n)
    return kept


def best_matching(overlap, min_overlap):
    """All one-to-one assignments tried; the one with the largest sum, weak pairs dropped."""
    rows, columns = len(overlap), len(overlap[0]) if overlap else 0
    best, best_sum = [], -1.0
    if rows <= columns:
        choices = ([(i, p[i]) for i in range(rows)] for p in permutations(range(columns), rows))
    else:
        choices = ([(p[j], j) for j in range(columns)] for p in permutations(range(rows), columns))
    for pairs in choices:
        total = sum(overlap[i][j] for i, j in pairs)
        if total > best_sum:
            best, best_sum = pairs, total
    return sorted((i, j) for i, j in best if overlap[i][j] > min_overlap)


def distance(a, b):
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def parents_of(spans, descriptors):
    """spans: (start, end) ascending. None for roots."""
    parents = []
    for k, (start, _) in enumerate(spans):
        before = [q for q, (_, end) in enumerate(spans) if end < start]
        before.sort(key=lambda q: distance(descriptors[k], descriptors[q]))
        if not before:
            parents.append(None)
        elif len(before) > 1 and parents[before[1]] == before[0]:
            parents.append(before[1])
        else:
            parents.append(before[0])
    return parents


def paths_of(parents):
    """Every root-to-leaf path."""
    leaves = [k for k in range(len(parents)) if k not in parents]
    paths = []
    for leaf in leaves:
        path = [leaf]
        while parents[path[0]] is not None:
            path.insert(0, parents[path[0]])
        paths.append(path)
    return paths


def path_score(path, spans, descriptors, length):
    largest = max((distance(a, b) for a in descriptors for b in descriptors), default=0.0)
    covered = sum(spans[k][1] - spans[k][0] for k in path)
    alike = 0.0
    for a in path:
        for b in path:
            if a < b:
                gap = distance(descriptors[a], descriptors[b]) / largest if largest > 0 else 0.0
                alike = max(alike, 1 - gap)
    return 0.9 * covered / length + 0.1 * alike


def cut(paths, spans, descriptors, length):
    """Recursive path cutting."""
    out = []
    for root in sorted({path[0] for path in paths}):
        group = sorted(path for path in paths if path[0] == root)
        winner = group[0]
        for path in group[1:]:
            new = (path_score(path, spans, descriptors, length), spans[path[-1]][1])
            old = (path_score(winner, spans, descriptors, length), spans[winner[-1]][1])
            # equal up to rounding of the twin's own sums counts as equal
            if new[0] > old[0] + 1e-12 or (abs(new[0] - old[0]) <= 1e-12 and new[1] > old[1]):
                winner = path
        out.append(winner)
        rest = [[k for k in path if k not in winner] for path in group]
        rest = [path for path in rest if path]
        if rest:
            out += cut(rest, spans, descriptors, length)
    return out


def track(masks, scores, descriptors, flows, max_overlap, min_link):
    """The whole tracker on dense masks [T][N][H][W]: groups of (frame, position), best first."""
    kept = [keep_non_overlapping(m, s, max_overlap) for m, s in zip(masks, scores, strict=True)]
    links = []
    for t in range(len(masks) - 1):
        moved = [warp_mask(masks[t][n], flows[t]) for n in kept[t]]
        overlap = [[iou(m, masks[t + 1][n]) for n in kept[t + 1]] for m in moved]
        pairs = best_matching(overlap, min_link) if overlap and overlap[0] else []
        links.append({(t, kept[t][i]): (t + 1, kept[t + 1][j]) for i, j in pairs})
    continued = {target for pairs in links for target in pairs.values()}
    tracklets = []
    for t, positions in enumerate(kept):
        for n in positions:
            if (t, n) in continued:
                continue
            chain = [(t, n)]
            while chain[-1][0] < len(links) and chain[-1] in links[chain[-1][0]]:
                chain.append(links[chain[-1][0]][chain[-1]])
            tracklets.append(chain)
    tracklets.sort(key=lambda chain: (chain[0][0], chain[-1][0]))
    spans = [(chain[0][0], chain[-1][0]) for chain in tracklets]
    means = []
    for chain in tracklets:
        vectors = [descriptors[t][n] for t, n in chain]
        means.append(
            [sum(map(float, column)) / len(chain) for column in zip(*vectors, strict=True)]
        )
    paths = cut(paths_of(parents_of(spans, means)), spans, means, len(masks))
    values = []
    for path in paths:
        seen, total = 0, 0.0
        for k in path:
            chain = tracklets[k]
            seen += len(chain)
            total += seen * sum(float(scores[t][n]) for t, n in chain) / len(chain)
        values.append(total / len(path))
    order = sorted(range(len(paths)), key=lambda p: -values[p])
    return [[d for k in paths[p] for d in tracklets[k]] for p in order]
