"""The loss curve of a training: reported, and kept with the network and its training states."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wsvis.learning.share import Share
from wsvis.payload import Payload


class Curve:
    """Rows of numbers of a worker's training, those before a resume included.

    Args:
        share: whose reports and training states these are.
        steps: updates in all, which every report names.
    """

    def __init__(self, share: Share, steps: int) -> None:
        self.share, self.steps = share, steps
        self.rows: list[dict[str, float]] = []
        if share.resume:
            self.rows += share.resume.data.get("curve", ())

    def report(self, numbers: Mapping[str, float]) -> None:
        """Keep a row, and hand it on."""
        self.rows.append({name: float(value) for name, value in numbers.items()})
        if self.share.report:
            self.share.report({**numbers, "steps": self.steps})

    @property
    def checkpoint(self) -> Callable[[Payload], None] | None:
        """Hands a training state on, with the curve up to it."""
        hand_on = self.share.checkpoint
        if hand_on is None:
            return None

        def keep(state: Payload) -> None:
            hand_on(Payload(state.arrays, {**state.data, "curve": list(self.rows)}))

        return keep
