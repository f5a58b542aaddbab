"""Flow by RAFT (Teed and Deng 2020) as torchvision has it; batched, on a GPU when there is one.

P pairs of frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import WeightsEnum
from torchvision.models import optical_flow as raft_models

from wsvis.errors import InputError
from wsvis.settings import suggestion
from wsvis.weights_files import names_a_file
from wsvis.weights_input import fill_network, read_tensors

MULTIPLE, SMALLEST_SIDE = 8, 128
"""Frames are padded to a multiple of 8 and to 128 pixels: the network halves three times, then its
correlation pyramid three times more and needs 2 cells at the top."""
_MODELS = {
    "raft-small": (raft_models.raft_small, raft_models.Raft_Small_Weights),
    "raft-large": (raft_models.raft_large, raft_models.Raft_Large_Weights),
}


class Raft:
    """A flow provider around a RAFT network."""

    gray = False

    def __init__(
        self, network: nn.Module, device: torch.device, batch: int = 4, updates: int = 12
    ) -> None:
        """Take a network over.

        Args:
            network: torchvision's RAFT with its weights.
            device: where to run.
            batch: pairs at a time.
            updates: refinements per pair (torchvision's default is 12).
        """
        self._network = network.eval().to(device)
        self._device, self._updates = device, updates
        self.batch = batch

    @torch.inference_mode()
    def flow(
        self, first: UInt8[np.ndarray, "P H W 3"], second: UInt8[np.ndarray, "P H W 3"]
    ) -> Float32[np.ndarray, "P H W 2"]:
        """Flow of each pair, in pixels."""
        fields = np.empty((*first.shape[:3], 2), dtype=np.float32)
        height, width = first.shape[1:3]
        for start in range(0, len(first), self.batch):
            part = slice(start, start + self.batch)
            a, b = self._padded(first[part]), self._padded(second[part])
            refined = self._network(a, b, num_flow_updates=self._updates)[-1]
            inside = refined[:, :, :height, :width].permute(0, 2, 3, 1)
            fields[part] = inside.float().cpu().numpy()
        return fields

    def _padded(self, frames: np.ndarray) -> Tensor:
        """[P, 3, h, w] in -1..1, edges repeated at the bottom and right (offsets stay zero)."""
        images = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)
        images = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        height, width = (padded_side(side) for side in frames.shape[1:3])
        padding = (0, width - frames.shape[2], 0, height - frames.shape[1])
        return functional.pad(images, padding, mode="replicate")


def padded_side(side: int) -> int:
    """The smallest side RAFT accepts that is not below ``side``."""
    return max(SMALLEST_SIDE, -(-side // MULTIPLE) * MULTIPLE)


def make_raft(name: str, weights: str, device: str) -> Raft:
    """RAFT with weights.

    Args:
        name: raft-small or raft-large.
        weights: torchvision's name of some (empty = its best ones), or a local .pth or
            .safetensors file.
        device: a torch device, or ``auto``.

    Raises:
        InputError: no such network or weights; a file that is unreadable or of another network.
    """
    if name not in _MODELS:
        raise InputError(f"no flow provider is called {name!r}; {suggestion(name, _MODELS)}")
    build, entries = _MODELS[name]
    network = build(weights=None)
    from_file = names_a_file(weights)
    state = _read_file(Path(weights)) if from_file else _named(name, entries, weights)
    _fill(network, state, name, weights or "its default weights")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Raft(network, torch.device(device))


def _named(name: str, entries: type[WeightsEnum], weights: str) -> Mapping[str, Tensor]:
    known = {entry.name: entry for entry in entries}
    if weights and weights not in known:
        raise InputError(
            f"flow.weights: {name} has no weights {weights!r}, and no such file is there; "
            f"{suggestion(weights, known)}"
        )
    entry = entries[weights or "DEFAULT"]
    try:
        return entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash a RuntimeError
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"flow.weights: {entry.name} of {name} could not be downloaded ({reason}); fetch "
            f"{entry.url} elsewhere and give that file as flow.weights"
        ) from None


def _read_file(path: Path) -> Mapping[str, Tensor]:
    """All tensors of a file by name; nothing in it is run."""
    try:
        return read_tensors(path, "is not there; give the path of a weights file")
    except InputError as error:
        raise InputError(f"flow.weights: {error}") from None


def _fill(network: nn.Module, state: Mapping[str, Tensor], name: str, source: str) -> None:
    expected = network.state_dict()
    strangers = sorted(state.keys() ^ expected.keys()) or sorted(
        key for key, tensor in expected.items() if state[key].shape != tensor.shape
    )
    if strangers:
        raise InputError(
            f"flow.weights: {source} are not weights of {name} ({len(strangers)} tensors differ, "
            f"such as {strangers[0]}); give weights of {name} or change flow.provider"
        )
    fill_network(network, state, f"flow.weights: {source}")
