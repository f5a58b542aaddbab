"""BoxInst and CondInst written as loops: slow, and plain enough to be read beside the papers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional


def dynamic_masks(features, coordinates, parameters):
    """One instance after the other, three explicit convolutions of 1 x 1."""
    channels = features.shape[0]
    results = []
    for own, numbers in zip(coordinates, parameters, strict=True):
        x = torch.cat([features, own])[None]
        place = 0

        def take(*shape):
            nonlocal place
            count = math.prod(shape)
            part = numbers[place : place + count].reshape(shape)  # noqa: B023
            place += count
            return part

        weights = [take(8, channels + 2, 1, 1), take(8, 8, 1, 1), take(1, 8, 1, 1)]
        biases = [take(8), take(8), take(1)]
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = functional.conv2d(x, weight, bias)
            x = functional.relu(x) if number < 2 else x
        results.append(x[0, 0])
    return torch.stack(results)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def pairwise_loss(logits, weights, dilation):
    """Every pixel and each of its eight neighbours."""
    total = count = 0.0
    height, width = logits.shape[1:]
    shifts = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
    for n, mask in enumerate(logits.tolist()):
        for y in range(height):
            for x in range(width):
                for k, (r, c) in enumerate(shifts):
                    weight = float(weights[n, k, y, x])
                    count += weight
                    v, u = y + r * dilation, x + c * dilation
                    if not weight or not (0 <= v < height and 0 <= u < width):
                        continue
                    p, q = sigmoid(mask[y][x]), sigmoid(mask[v][u])
                    total -= weight * math.log(p * q + (1 - p) * (1 - q))
    return total / max(count, 1)


def projection_loss(logits, boxes):
    """Shadows on both axes, and their dice."""
    results = []
    for mask, box in zip(np.asarray(logits), np.asarray(boxes), strict=True):
        scores = 1 / (1 + np.exp(-mask))
        loss = 0.0
        for axis in (0, 1):
            a, b = scores.max(axis), box.max(axis)
            loss += 1 - 2 * (a * b).sum() / ((a * a).sum() + (b * b).sum() + 1e-5)
        results.append(loss)
    return results


def assign(centres, strides, limits, boxes, radius):
    """FCOS: of the objects a location may learn, the smallest."""
    matched = []
    for (x, y), stride, (low, high) in zip(centres, strides, limits, strict=True):
        best, smallest = -1, math.inf
        for number, (left, top, right, bottom) in enumerate(boxes):
            sides = x - left, y - top, right - x, bottom - y
            near = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < radius * stride
            area = (right - left) * (bottom - top)
            if min(sides) > 0 and near and low < max(sides) <= high and area < smallest:
                best, smallest = number, area
        matched.append(best)
    return matched
