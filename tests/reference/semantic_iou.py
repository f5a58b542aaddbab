"""Semantic maps and IoU in plain loops from the definition; -1 background, -2 void."""

import math


def semantic_map(labels, scores, masks, height, width, score_threshold):
    """Per pixel the class with the best score there, the lower class on a tie."""
    result = [[-1] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            here = [
                (-score, label)
                for label, score, mask in zip(labels, scores, masks, strict=True)
                if mask[y][x] and score >= score_threshold
            ]
            if here:
                result[y][x] = min(here)[1]
    return result


def miou(maps, classes):
    """Mean over object classes with ground truth of TP / (TP + FP + FN)."""
    values = []
    for c in range(classes):
        true = false = missed = 0
        for truth, predicted in maps:
            for row_t, row_p in zip(truth, predicted, strict=True):
                for t, p in zip(row_t, row_p, strict=True):
                    if t == -2:
                        continue
                    true += t == c and p == c
                    false += t != c and p == c
                    missed += t == c and p != c
        if true + missed:
            values.append(true / (true + false + missed))
    return sum(values) / len(values) if values else math.nan
