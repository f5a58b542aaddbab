"""From a class map to one number per class.

B frames, C classes, h w cells. Both poolings commute with a shift of the map; they differ in how
much the best cells count.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def average_pooling(maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C"]:
    """Mean of each class map over its cells (Zhou et al. 2016, Sec. 2; used by IRN).

    s_c = 1/(hw) sum_x M_c(x), with M_c -> ``maps``. Logits, any range.
    """
    return maps.mean((-2, -1))


def log_sum_exp_pooling(maps: Float[Tensor, "B C h w"], sharpness: float) -> Float[Tensor, "B C"]:
    """A smooth maximum of each class map (Pinheiro and Collobert 2015, Eq. 3).

    s_c = 1/r log( 1/(hw) sum_x exp(r M_c(x)) ), with M_c -> ``maps`` and r -> ``sharpness`` > 0.
    Between the mean (r -> 0) and the maximum (r -> infinity) of the map.

    Differs from the paper: nothing; flowIRN itself uses the mean.

    Raises:
        ValueError: ``sharpness`` is not positive.
    """
    if sharpness <= 0:
        raise ValueError(f"sharpness is {sharpness}; it must be positive")
    cells = maps.shape[-2] * maps.shape[-1]
    summed = torch.logsumexp(sharpness * maps.flatten(-2), dim=-1)
    return (summed - math.log(cells)) / sharpness
