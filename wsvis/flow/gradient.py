"""F': the spatial gradient of a flow field, which the flow-boundary loss compares (Eq. 3).

B fields, H W cells of the field given, h w cells of the coarser grid.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

GradientForm = Literal["jacobian", "diagonal", "magnitude"]


def flow_gradient(
    flow: Float[Tensor, "B H W 2"], stride: int = 4, form: GradientForm = "jacobian"
) -> Float[Tensor, "B c h w"]:
    """F'(x), the gradient of the flow with respect to position, on a coarser grid.

    Liu et al. 2021, Sec. 3.2, Eq. 3: F'(i).

    The field is averaged over blocks of ``stride`` cells (partial blocks at the bottom and right
    average what they have), then differentiated by central differences with the border repeated:
    (F(x+1) - F(x-1)) / 2 per cell of the coarser grid. Values stay in the unit of ``flow``: lambda
    of Eq. 3 is a length in that unit.

    The paper is silent: it calls F' two-dimensional, which a flow's four derivatives are not.
    jacobian keeps all four; diagonal (du/dx, dv/dy) is two-dimensional but blind to shear;
    magnitude (the gradient of ||F||) is two-dimensional but blind to equal speeds in opposite
    directions.

    Args:
        flow: (u, v), pixels of the network's input.
        stride: cells of ``flow`` per cell of the result (4 / the stride the field is stored at).
        form: which derivatives.

    Returns:
        c = 4: du/dx, du/dy, dv/dx, dv/dy; diagonal: du/dx, dv/dy; magnitude: d/dx, d/dy.

    Raises:
        ValueError: ``stride`` below 1, or an unknown form.
    """
    if stride < 1:
        raise ValueError(f"stride is {stride}; it must be at least 1")
    planes = flow.permute(0, 3, 1, 2)
    if stride > 1:
        planes = functional.avg_pool2d(planes, stride, ceil_mode=True, count_include_pad=False)
    if form == "magnitude":
        # hypot has no gradient at 0, which nothing asks for: flow is data
        planes = torch.hypot(planes[:, :1], planes[:, 1:])
    padded = functional.pad(planes, (1, 1, 1, 1), mode="replicate")
    along_x = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    along_y = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    if form == "diagonal":
        return torch.stack([along_x[:, 0], along_y[:, 1]], dim=1)
    if form in ("jacobian", "magnitude"):
        # every plane's two derivatives side by side
        return torch.stack([along_x, along_y], dim=2).flatten(1, 2)
    raise ValueError(f"form is {form!r}; jacobian, diagonal or magnitude")
