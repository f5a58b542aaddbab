"""Building frames for the MaskConsist tests: as tensors, and as the slow twin's dicts."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsvis.instances import InstanceTensors, from_masks

HEIGHT, WIDTH = 6, 7
GATE = {"box_iou_threshold": 0.5, "overlap": "box"}
"""What counts as overlap, as in the paper."""
PAPER = {
    **GATE,
    "iom_threshold": 0.5,
    "intra": True,
    "inter": True,
    "min_match_iou": 0.0,
    "labels_first": False,
}
"""Every setting of MaskConsist by the paper's text."""


def rectangle(top, left, bottom, right, height=24, width=32):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def scene(*instances, height=24, width=32) -> InstanceTensors:
    """(mask, label) or (mask, label, score) each; boxes are tight."""
    masks = [i[0] for i in instances]
    return from_masks(
        torch.stack(masks) if masks else torch.zeros(0, height, width, dtype=torch.bool),
        torch.tensor([i[1] for i in instances], dtype=torch.int64),
        torch.tensor([i[2] if len(i) > 2 else 1.0 for i in instances], dtype=torch.float32),
    )


def shift(right=0.0, down=0.0, height=24, width=32):
    """Flow to the next frame when everything moves by (right, down)."""
    return torch.tensor([right, down]).expand(height, width, 2).clone()


def as_dicts(instances: InstanceTensors):
    return [
        {
            "box": tuple(box),
            "label": int(label),
            "mask": {(int(r), int(c)) for r, c in torch.nonzero(mask)},
            "score": float(score),
        }
        for box, label, mask, score in zip(
            instances.boxes.tolist(),
            instances.labels,
            instances.masks,
            instances.scores,
            strict=True,
        )
    ]


def _blocks(draw):
    top, left = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))
    bottom, right = draw(st.integers(top + 1, HEIGHT)), draw(st.integers(left + 1, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask ^ (draw(arrays(bool, (HEIGHT, WIDTH))) & draw(st.booleans()))


blocks = st.composite(_blocks)()
# eighths and a bit: no position lands within rounding of a half mask or of the frame's edge
flows = arrays(
    np.float32, (HEIGHT, WIDTH, 2), elements=st.integers(-16, 16).map(lambda n: n / 8 + 1 / 64)
).map(torch.from_numpy)


def instances(most=4, least=0):
    one = st.tuples(blocks, st.integers(0, 1), st.integers(1, 8).map(lambda n: n / 8))
    return st.lists(one, min_size=least, max_size=most).map(
        lambda found: scene(
            *[(torch.from_numpy(mask), label, score) for mask, label, score in found],
            height=HEIGHT,
            width=WIDTH,
        )
    )
