"""A training in the middle, as a payload: weights, optimiser state, step. No pickle."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from wsvis.payload import Payload


def training_state(model: nn.Module, optimiser: Optimizer, step: int) -> Payload:
    """Everything a resumed run needs, copied: ``step`` updates have been made."""
    arrays = {
        f"model.{name}": tensor.detach().cpu().numpy().copy()
        for name, tensor in model.state_dict().items()
    }
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                arrays[f"optimiser.{index}.{key}"] = torch.as_tensor(value).cpu().numpy().copy()
    return Payload(arrays=arrays, data={"kind": "classifier training", "step": step})


def restore_training(payload: Payload, model: nn.Module, optimiser: Optimizer) -> int:
    """Put a state back in place and return its step.

    Raises:
        ValueError: the payload belongs to another training.
    """
    if payload.data.get("kind") != "classifier training":
        raise ValueError("this payload is no state of a classifier's training")
    weights: dict[str, torch.Tensor] = {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in payload.arrays.items():
        owner, rest = name.split(".", 1)
        tensor = torch.from_numpy(np.array(array))
        if owner == "model":
            weights[rest] = tensor
        else:
            index, key = rest.split(".", 1)
            # the file format knows no zero-dimensional arrays; AdamW's step counter is one
            states.setdefault(int(index), {})[key] = tensor.reshape(()) if key == "step" else tensor
    groups = optimiser.state_dict()["param_groups"]
    try:
        model.load_state_dict(weights)
        optimiser.load_state_dict({"state": states, "param_groups": groups})
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"this training state is of another model ({error})") from None
    return int(payload.data["step"])
