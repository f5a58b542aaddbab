"""A frozen backbone's outputs, computed once per frame and mirror image.

Where frames are neither resized nor cut at random, every epoch sees the same two images of each
frame, and a frozen backbone the same outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsvis.irn.batches import IrnBatch
from wsvis.irn.network import Irn, Taps


class TapMemory:
    """At most ``limit_bytes`` of outputs; what does not fit is computed again each time.

    What is missing of a batch passes frame by frame, so that a frame's features do not depend on
    its company (rounding differs with the size of the batch) and a resumed training sees the same
    numbers.
    """

    def __init__(self, model: Irn, limit_bytes: int) -> None:
        self.model, self.room = model, limit_bytes
        self.known: dict[tuple[int, bool], tuple[Tensor, ...]] = {}

    def taps(self, batch: IrnBatch) -> Taps:
        """Stage outputs of a batch, from memory where it has keys."""
        if batch.keys is None:
            return self.model.taps(batch.frames)
        rows = []
        for place, key in enumerate(batch.keys):
            if key in self.known:
                rows.append(self.known[key])
                continue
            # Channels last, in which 1x1 convolutions are plain matrix products.
            taps = tuple(
                x[0].permute(1, 2, 0).contiguous()
                for x in self.model.taps(batch.frames[place : place + 1])
            )
            size = sum(x.numel() * x.element_size() for x in taps)
            if size <= self.room:
                self.room -= size
                self.known[key] = taps
            rows.append(taps)
        return tuple(torch.stack(stage).permute(0, 3, 1, 2) for stage in zip(*rows, strict=True))
