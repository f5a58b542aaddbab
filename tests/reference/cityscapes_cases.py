"""Small random images like Cityscapes: groups, small objects, void, overlaps, tied scores."""

import numpy as np

CLASS_IDS = (24, 26, 33)


def random_image(seed, height=40, width=60, good=0.7):
    """(instance ids int32 [H, W], predictions as dicts of class_id, score, mask)."""
    rng = np.random.default_rng(seed)
    ids = rng.choice([7, 11, 23], (1, width)).repeat(height, 0).astype(np.int32)
    ids[:, : rng.integers(0, 10)] = rng.choice([0, 3, 15])
    objects = []
    for number in range(rng.integers(2, 9)):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        rows, columns = rng.integers(4, 22, 2)
        class_id = int(rng.choice(CLASS_IDS))
        kind = rng.random()
        value = class_id * 1000 + number
        if kind < 0.2:
            value = class_id  # a group
        elif kind < 0.3:
            value = int(rng.choice([29, 30, 29001]))
        ids[top : top + rows, left : left + columns] = value
        objects.append((class_id, (top, left, rows, columns)))
    predictions = []
    for class_id, (top, left, rows, columns) in objects:
        for _ in range(rng.integers(0, 3)):
            mask = np.zeros((height, width), bool)
            y, x = np.maximum(0, np.array([top, left]) + rng.integers(-2, 3, 2))
            mask[y : y + rows, x : x + columns] = True
            found = class_id if rng.random() < good else int(rng.choice(CLASS_IDS))
            predictions.append(
                {"class_id": found, "score": int(rng.integers(1, 8)) / 8, "mask": mask}
            )
    return ids, predictions
