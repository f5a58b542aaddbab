"""Loop twin of the ImageNet head's class evidence: the largest logit of a class's kinds."""

import numpy as np


def strongest_logits(
    features: np.ndarray, weight: np.ndarray, bias: np.ndarray, kinds: list[list[int]]
) -> np.ndarray:
    """For frames [B, c, h, w], rows [R, c] and biases [R]: evidence [B, C, h, w] of C classes."""
    frames, channels, height, width = features.shape
    evidence = np.empty((frames, len(kinds), height, width))
    for b in range(frames):
        for label, rows in enumerate(kinds):
            for y in range(height):
                for x in range(width):
                    best = -np.inf
                    for row in rows:
                        logit = float(bias[row])
                        for k in range(channels):
                            logit += float(weight[row, k]) * float(features[b, k, y, x])
                        best = max(best, logit)
                    evidence[b, label, y, x] = best
    return evidence
