"""Which frames a training step sees, and as what tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from wsvis.cam.augment import apply_augmentation, draw_augmentation, place_on_canvas
from wsvis.cam.classifier import Classifier
from wsvis.cam.frozen_features import FrozenFeatures, run_frozen

Frames = Sequence[np.ndarray]
"""Index -> frame, uint8 [H, W, 3] RGB; may decode on demand, sizes may differ."""


class TrainingBatches:
    """Step -> batch, as a function of the seed and the step alone."""

    def __init__(
        self,
        model: Classifier,
        frames: Frames,
        *,
        batch_size: int,
        seed: int,
        crop: int,
        resize_long_side: tuple[int, int],
        frozen_stages: int,
    ) -> None:
        self.model, self.frames = model, frames
        self.batch_size, self.seed = batch_size, seed
        self.crop, self.resize_long_side = crop, resize_long_side
        self.frozen_stages = frozen_stages
        only_mirrored = crop == 0 and resize_long_side[1] == 0
        self.memory = (
            FrozenFeatures(model, frozen_stages) if frozen_stages and only_mirrored else None
        )

    def indices(self, step: int) -> Int64[np.ndarray, " B"]:
        """The step's frames: a new random order each epoch, its incomplete last batch dropped."""
        per_epoch = len(self.frames) // self.batch_size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.frames))
        return order[place * self.batch_size : (place + 1) * self.batch_size]

    def after_frozen(self, step: int, indices: Int64[np.ndarray, " B"]) -> Float[Tensor, "B c h w"]:
        """What the first learning stage reads: augmented frames, or frozen stages' features."""
        random = np.random.default_rng([self.seed, 1, step])
        draws = [draw_augmentation(random, self.resize_long_side) for _ in indices]
        device = self.model.head.weight.device

        def augmented(place: int) -> Float[Tensor, "3 H W"]:
            frame = self.frames[int(indices[place])]
            return apply_augmentation(frame, draws[place], self.model.normalisation, device)

        if self.memory is not None:
            features = [
                self.memory.get(int(index), draws[i].flip, lambda i=i: augmented(i))
                for i, index in enumerate(indices)
            ]
            if len({f.shape for f in features}) == 1:
                return torch.stack(features)
        canvas = place_on_canvas([augmented(i) for i in range(len(indices))], draws, self.crop)
        return run_frozen(self.model, canvas, self.frozen_stages)
