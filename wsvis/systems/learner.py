"""What learners of all detectors share: rates of two groups of weights, clips one by one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from wsvis.learning.workers import ALONE, Group
from wsvis.systems.checkpoint import description
from wsvis.systems.clips import Clip


class ClipLearner:
    """A :class:`wsvis.learning.loop.Learner` of a detector but for ``losses`` and ``row``.

    Args:
        model: a detector with a ``backbone`` of ours, on the device to train on.
        learning_rate: of all but the backbone.
        backbone_rate_factor: the backbone's rate over it.
        settings: what tells this training from others, for resuming.
        group: the workers that train together.
        wrapped: ``model`` made data-parallel, if it is.
    """

    kind, title = "detector training", "the detector"
    cure = "lower detector.learning_rate or set detector.clip_norm"

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        backbone_rate_factor: float,
        settings: str = "",
        group: Group = ALONE,
        wrapped: nn.Module | None = None,
    ) -> None:
        self.network = model
        self.forward: Any = wrapped or model
        self.device = next(p for p in model.parameters() if p.requires_grad).device
        self.learning_rate, self.backbone_rate_factor = learning_rate, backbone_rate_factor
        self.settings, self.group = settings, group

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The backbone, and all else that learns."""
        network: Any = self.network
        rate, trunk = self.learning_rate, {id(p) for p in network.backbone.parameters()}
        learned = [p for p in network.parameters() if p.requires_grad]
        return [
            {
                "params": [p for p in learned if id(p) in trunk],
                "lr": rate * self.backbone_rate_factor,
            },
            {"params": [p for p in learned if id(p) not in trunk], "lr": rate},
        ]

    def learned(self) -> dict[str, Tensor]:
        """All weights."""
        return self.network.state_dict()

    def about(self) -> dict[str, Any]:
        """Which network, and what else tells this training from others."""
        return {**description(self.network), "training": self.settings}

    def parts(self, batch: list[Clip]) -> list[Clip]:
        """One clip after the other."""
        return batch
