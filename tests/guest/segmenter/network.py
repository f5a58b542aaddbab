"""Every pixel's class, and connected pixels of one class as an instance."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from wsvis.instances import from_masks
from wsvis.learning.loop import Losses
from wsvis.systems.learner import ClipLearner


class Segmenter(nn.Module):
    def __init__(self, backbone, classes, normalisation):
        super().__init__()
        self.system, self.classes, self.normalisation = "segmenter", classes, normalisation
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.channels[-1], classes + 1, 1)

    def forward(self, images):
        return self.run(images)

    def run(self, images):
        logits = [
            functional.interpolate(
                self.head(self.backbone(image[None] - 0.5)[-1]), image.shape[1:], mode="bilinear"
            )[0]
            for image in images
        ]
        return SegmenterPass(logits)


class SegmenterPass:
    def __init__(self, logits):
        self.logits = logits

    @torch.no_grad()
    def predictions(self, selection, sizes=None):
        return [
            self._instances(logits, size or tuple(logits.shape[1:]), selection)
            for logits, size in zip(self.logits, sizes or [None] * len(self.logits), strict=True)
        ]

    def _instances(self, logits, size, selection):
        shares = functional.interpolate(logits[None], size, mode="bilinear")[0].softmax(0)
        best = shares.argmax(0).numpy()
        masks, labels, scores = [], [], []
        for label in range(len(shares) - 1):
            count, parts = cv2.connectedComponents((best == label + 1).astype(np.uint8))
            for number in range(1, count):
                masks.append(torch.from_numpy(parts == number))
                labels.append(label)
                scores.append(float(shares[label + 1][masks[-1]].mean()))
        order = np.argsort(scores)[::-1][: selection.most]
        chosen = [n for n in order if scores[n] > selection.score]
        if not chosen:
            empty = torch.zeros((0, *size), dtype=torch.bool)
            return from_masks(empty, torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        return from_masks(
            torch.stack([masks[n] for n in chosen]),
            torch.tensor([labels[n] for n in chosen]),
            torch.tensor([scores[n] for n in chosen]),
        )


class SegmenterLearner(ClipLearner):
    def losses(self, part, step, count):
        target = part.targets[0]
        truth = torch.zeros(part.images[0].shape[1:], dtype=torch.int64)
        for mask, label in zip(target.masks, target.labels, strict=True):
            truth[mask] = label + 1
        logits = self.forward(list(part.images)).logits[0]
        loss = functional.cross_entropy(logits[None], truth[None]) / count
        return Losses(loss, loss.detach()[None])

    def row(self, sums):
        return {"loss": float(sums) / self.group.workers}
