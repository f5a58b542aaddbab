"""What a detector is to the rest of the project: a network that looks at images.

H W pixels of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from wsvis.instances import InstanceTensors


@dataclass(frozen=True)
class Selection:
    """Which predictions count."""

    most: int = 100
    """Per image (paper: "top 100 predictions")."""
    score: float = 0.05
    nms: float = 0.5
    """Box NMS within a class (paper: 0.5)."""
    classes_per_box: Literal["best", "every"] = "every"
    """every: a box may be several classes, as the libraries have it at inference; best: "the class
    with highest score for the box" (paper Sec. 3.3)."""


@runtime_checkable
class Pass(Protocol):
    """One forward pass over a few images."""

    def predictions(
        self, selection: Selection, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[InstanceTensors]:
        """Best first, without gradient; never a ground-truth box.

        Args:
            selection: which.
            sizes: rows and columns of the masks; default: those of the images.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """A torch module of one of the systems."""

    def run(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> Pass:
        """Everything that needs no targets. Images are RGB in 0..1, of any sizes."""
        ...
