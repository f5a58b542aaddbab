"""Regions of a feature pyramid as small grids: torchvision's RoIAlign, faster where CPUs train.

L levels, B images, C channels, h w cells of a level, R regions, S samples per axis of a region.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper


class RoiPool(MultiScaleRoIAlign):
    """torchvision's module; on a CPU forward and backward take a third of its time.

    RoIAlign is a weighted sum of cells, the weights following from the boxes alone. Here the cells
    of all levels form one table, and a bag of its rows is added up for each cell of the output,
    which is what ``embedding_bag`` is made for; torchvision's backward pass adds up number by
    number. Sums in another order: results differ in the sixth digit. On other devices it is
    torchvision's own.

    The strides of the levels are given; torchvision guesses them from the height of the images
    before padding, wrongly for heights of up to 22, 33 to 45 and 65 to 67 pixels.
    """

    def __init__(
        self, names: Sequence[str], size: int, samples: int, strides: Sequence[int]
    ) -> None:
        """``strides`` of the levels ``names``, each twice the one before; finest first."""
        super().__init__(list(names), size, samples)
        self.scales = [1 / stride for stride in strides]
        self.map_levels = LevelMapper(
            strides[0].bit_length() - 1,
            strides[-1].bit_length() - 1,
            self.canonical_scale,
            self.canonical_level,
        )

    def forward(
        self,
        x: dict[str, Float[Tensor, "B C _ _"]],
        boxes: list[Float[Tensor, "_ 4"]],
        image_shapes: list[tuple[int, int]],
    ) -> Float[Tensor, "R C rows columns"]:
        """The grid of each box, images in order.

        Args:
            x: levels by name.
            boxes: of each image, xyxy in its pixels.
            image_shapes: rows and columns of each image, before they were padded to one size.
        """
        levels = [x[name] for name in self.featmap_names if name in x]
        if levels[0].device.type != "cpu" or not sum(map(len, boxes)):
            return super().forward(x, boxes, image_shapes)
        assert self.scales is not None
        assert self.map_levels is not None
        together = torch.cat(boxes)
        image = torch.repeat_interleave(
            torch.arange(len(boxes)), torch.tensor([len(one) for one in boxes])
        )
        chosen = self.map_levels(boxes)
        scale = torch.tensor(self.scales)[chosen, None]
        return _sum_of_cells(
            levels, chosen, image, together * scale, self.output_size, self.sampling_ratio
        )


def _sum_of_cells(
    levels: Sequence[Float[Tensor, "B C _ _"]],
    chosen: Int64[Tensor, " R"],
    image: Int64[Tensor, " R"],
    boxes: Float[Tensor, "R 4"],
    output: tuple[int, int],
    samples: int,
) -> Tensor:
    """Means of ``samples`` x ``samples`` bilinear samples in each output cell; boxes in cells."""
    channels = levels[0].shape[1]
    table = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, channels) for level in levels])
    sizes = torch.tensor([level.shape[2:] for level in levels])
    begin = torch.tensor([0, *(level.numel() // channels for level in levels[:-1])]).cumsum(0)
    rows, row_weights = _along(boxes[:, 1], boxes[:, 3], sizes[chosen, 0], output[0], samples)
    columns, column_weights = _along(boxes[:, 0], boxes[:, 2], sizes[chosen, 1], output[1], samples)
    first = begin[chosen] + image * sizes[chosen].prod(1)
    width = sizes[chosen, 1]
    index = (
        first[:, None, None, None, None]
        + rows[:, :, None, :, None] * width[:, None, None, None, None]
        + columns[:, None, :, None, :]
    )
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    bag = (2 * samples) ** 2
    summed = functional.embedding_bag(
        index.reshape(-1, bag),
        table,
        per_sample_weights=weights.reshape(-1, bag).to(table.dtype),
        mode="sum",
    )
    return summed.view(len(boxes), *output, channels).permute(0, 3, 1, 2)


def _along(
    low: Float[Tensor, " R"], high: Float[Tensor, " R"], size: Tensor, cells: int, samples: int
) -> tuple[Int64[Tensor, "R cells two_S"], Float[Tensor, "R cells two_S"]]:
    """On one axis: the two grid positions around each sample, and their weights in the mean.

    Samples more than one cell outside count as zero, others outside as the cell at the edge.
    """
    steps = torch.arange(cells)[:, None] + (torch.arange(samples) + 0.5) / samples
    length = (high - low).clamp_min(1.0) / cells
    where = low[:, None] + steps.flatten() * length[:, None]
    inside = (where >= -1) & (where <= size[:, None])
    last = size[:, None] - 1
    where = torch.minimum(where.clamp_min(0), last)
    before = where.floor().long()
    after = torch.minimum(before + 1, last)
    share = where - before
    positions = torch.stack([before, after], -1)
    weights = torch.stack([1 - share, share], -1) * (inside / samples)[..., None]
    shape = len(low), cells, 2 * samples
    return positions.reshape(shape), weights.reshape(shape)
