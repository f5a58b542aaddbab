"""Pooling and the classification loss, cell by cell."""

import math


def average_pooling(maps):
    """maps: nested lists [B][C][h][w]."""
    pooled = []
    for frame in maps:
        row = []
        for cells in frame:
            total, count = 0.0, 0
            for line in cells:
                for value in line:
                    total += value
                    count += 1
            row.append(total / count)
        pooled.append(row)
    return pooled


def log_sum_exp_pooling(maps, sharpness):
    pooled = []
    for frame in maps:
        row = []
        for cells in frame:
            total, count = 0.0, 0
            for line in cells:
                for value in line:
                    total += math.exp(sharpness * value)
                    count += 1
            row.append(math.log(total / count) / sharpness)
        pooled.append(row)
    return pooled


def multilabel_soft_margin_loss(logits, labels):
    """logits, labels: nested lists [B][C]."""
    total = 0.0
    for row, wanted in zip(logits, labels, strict=True):
        of_frame = 0.0
        for logit, present in zip(row, wanted, strict=True):
            probability = 1 / (1 + math.exp(-logit))
            of_frame -= math.log(probability) if present else math.log(1 - probability)
        total += of_frame / len(row)
    return total / len(logits)


def average_precision(scores, positives):
    """Area under precision over recall by thresholding at every distinct score."""
    wanted = sum(positives)
    if wanted == 0:
        return math.nan
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        kept = [p for s, p in zip(scores, positives, strict=True) if s >= threshold]
        precision, recall = sum(kept) / len(kept), sum(kept) / wanted
        area += (recall - recall_before) * precision
        recall_before = recall
    return area
