"""Outputs of frozen stages, computed once per frame and mirror image.

Where training changes frames by mirroring alone and the first stages never learn, their outputs are
always the same two per frame. On a CPU this halves a fine-tuning over a few epochs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from wsvis.cam.classifier import Classifier

GIB = 1 << 30


class FrozenFeatures:
    """A memory of at most ``limit_bytes``; what does not fit is computed again each time.

    Each frame passes alone, so that its features do not depend on its company (rounding differs
    with the batch), and a resumed training sees the same numbers.
    """

    def __init__(self, model: Classifier, frozen_stages: int, limit_bytes: int = GIB) -> None:
        self.model, self.frozen_stages = model, frozen_stages
        self.room = limit_bytes
        self.memory: dict[tuple[int, bool], Tensor] = {}

    def get(
        self, index: int, flip: bool, frame: Callable[[], Float[Tensor, "3 H W"]]
    ) -> Float[Tensor, "c h w"]:
        """Features of one normalised frame, which is only asked for when they are not known."""
        key = (index, flip)
        if key not in self.memory:
            features = run_frozen(self.model, frame()[None], self.frozen_stages)[0]
            size = features.element_size() * features.numel()
            if size > self.room:
                return features
            self.room -= size
            self.memory[key] = features
        return self.memory[key]


def frozen_stage_count(trainable: str) -> int:
    """Stages that do not learn, from the input on.

    IRN cuts the gradient after the stem and two stages (``last-stages``); ``head`` trains only the
    1x1 convolution.
    """
    return {"all": 0, "last-stages": 3, "head": 5}[trainable]


def run_frozen(
    model: Classifier, x: Float[Tensor, "B 3 H W"], frozen_stages: int
) -> Float[Tensor, "B c h w"]:
    """Output of the first ``frozen_stages`` stages without gradient.

    When the whole backbone is frozen and pooling is the mean, the mean over cells is enough: the
    head is linear, so pooling before it gives the same logits.
    """
    with torch.no_grad():
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in model.backbone.stages[:frozen_stages]:
            x = stage(x)
        if frozen_stages == len(model.backbone.stages) and model.pooling == "average":
            x = x.mean((-2, -1), keepdim=True)
    return x
