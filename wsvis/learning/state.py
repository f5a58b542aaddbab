"""A training in the middle, as a payload: weights, the optimiser's state, step. No pickle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wsvis.errors import InputError
from wsvis.learning.average import WeightAverage
from wsvis.payload import Payload


def training_state(
    kind: str,
    weights: Mapping[str, Tensor],
    optimiser: Optimizer,
    step: int,
    about: Mapping[str, Any],
    losses: Iterable[float] = (),
    *,
    average: WeightAverage | None = None,
) -> Payload:
    """Everything a resumed run needs after ``step`` updates, copied.

    Args:
        kind: of training.
        weights: what has learned, by name; the rest comes with the network training starts from.
        optimiser: the one at work.
        step: updates made.
        about: what tells this training from others.
        losses: of the last steps.
        average: of the weights, where one is kept.
    """
    arrays = {f"model.{name}": array_of(tensor) for name, tensor in weights.items()}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                arrays[f"optimiser.{index}.{key}"] = np.atleast_1d(array_of(torch.as_tensor(value)))
    data = {"kind": kind, "step": step, "losses": list(losses), **about}
    if average is not None:
        arrays |= {f"average.{name}": array_of(mean) for name, mean in average.state().items()}
        data["averaged"] = average.updates
    return Payload(arrays, data)


def restore_training(
    payload: Payload,
    kind: str,
    model: nn.Module,
    weights: Iterable[str],
    optimiser: Optimizer,
    about: Mapping[str, Any],
    source: str = "checkpoint",
    *,
    average: WeightAverage | None = None,
) -> int:
    """Put a state back in place and return its step; the other arguments as they were then.

    Raises:
        InputError: it belongs to another network or to a training with other settings.
    """
    data = payload.data
    if data.get("kind") != kind:
        raise InputError(f"{source}: not a state of {kind}; start without it")
    for name, value in about.items():
        if data.get(name) != value:
            raise InputError(
                f"{source}: was made with {name} {data.get(name)!r}, this run has {value!r}; "
                f"start without it or give the settings it was made with"
            )
    learned: dict[str, Tensor] = {}
    means: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for name, array in payload.arrays.items():
        owner, rest = name.split(".", 1)
        tensor = torch.from_numpy(np.array(array))
        if owner == "model":
            learned[rest] = tensor
        elif owner == "average":
            means[rest] = tensor
        else:
            index, key = rest.split(".", 1)
            # the file format knows no zero-dimensional arrays; AdamW's step counter is one
            states.setdefault(int(index), {})[key] = tensor.reshape(()) if key == "step" else tensor
    if set(learned) != set(weights) or bool(means) != (average is not None):
        raise InputError(f"{source}: does not have this network's weights; start without it")
    groups = optimiser.state_dict()["param_groups"]
    try:
        model.load_state_dict(learned, strict=False)
        optimiser.load_state_dict({"state": states, "param_groups": groups})
        if average is not None:
            average.restore(means, int(data["averaged"]))
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{source}: does not fit this training ({error})".split("\n")[0]) from None
    return int(data["step"])


def array_of(tensor: Tensor) -> np.ndarray:
    """A copy on the host."""
    return tensor.detach().cpu().numpy().copy()


def tensors_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Copies as tensors, by the same names."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
