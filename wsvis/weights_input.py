"""Files of weights from outside, read without running code: safetensors, and torch's own.

Whatever such a file holds, the outcome is tensors or one line; sizes are checked before memory is
taken for them.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from wsvis.errors import InputError, shown_value
from wsvis.files.regular_file import open_regular, read_regular
from wsvis.learning.state import tensors_of
from wsvis.payload import Payload, from_bytes

MAX_BYTES = 1 << 29
"""The largest network read (ResNet-152, float64) has 482 MB."""
MAX_HEADER = 1 << 23
"""Bytes in which a safetensors file names its tensors: a few hundred need 50 kB."""
_WRAPPERS = ("state_dict", "model")


def read_payload(path: str | Path, absent: str) -> Payload:
    """A file of ours, or any other in safetensors.

    Args:
        path: the file.
        absent: what to say, with the cure, where nothing is.

    Raises:
        InputError: the file is absent, too large or not in safetensors; one line.
    """
    with open_regular(path, absent) as file:
        start = file.read(8)
        if len(start) == 8 and struct.unpack("<Q", start)[0] > MAX_HEADER:
            raise InputError(f"{path}: is no safetensors file of weights; fetch it again")
    try:
        return from_bytes(read_regular(path, MAX_BYTES, absent))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}; fetch or export the weights again") from None


def size_of_network(data: Mapping[str, Any], name: str, most: int = 1 << 14) -> int:
    """A size by which a network is built, from a file's plain data.

    Raises:
        ValueError: it is no whole number, or one that would fill the memory.
    """
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{name} is {shown_value(value)}, not a whole number from 1 to {most}")
    return value


def read_tensors(path: str | Path, absent: str) -> dict[str, Tensor]:
    """All tensors of a .safetensors or torch file by name, out of ``state_dict`` or ``model``.

    The prefix ``module.`` of data-parallel training is left out.

    Raises:
        InputError: the file is absent, unreadable, too large, or holds no named tensors; one line.
    """
    if Path(path).suffix == ".safetensors":
        state: Any = tensors_of(read_payload(path, absent).arrays)
    else:
        with open_regular(path, absent) as file:
            state = _loaded(path, file)
    for wrapper in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    tensors = {}
    if isinstance(state, Mapping):
        tensors = {str(k): value for k, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path}: holds no state dict; save model.state_dict() and give that")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def fill_network(network: torch.nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Put tensors, whose names and shapes have been checked, in place of a network's own.

    Raises:
        InputError: some are no plain real numbers, or not finite.
    """
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise InputError(f"{source}: {name} holds no plain real numbers; export it as float32")
        if tensor.device.type == "meta" or not torch.isfinite(tensor.float()).all():
            raise InputError(f"{source}: {name} is not finite; fetch the weights again")
    network.load_state_dict(dict(state))


def _loaded(path: str | Path, file: BinaryIO) -> Any:
    """What torch reads from a file, restricted to tensors and plain containers."""
    try:
        size = file.seek(0, 2)
        if zipfile.is_zipfile(file):  # whose parts may be packed
            with zipfile.ZipFile(file) as archive:
                size = max(size, sum(part.file_size for part in archive.infolist()))
        if size > MAX_BYTES:
            raise InputError(f"{path}: holds more than {MAX_BYTES >> 20} MiB; give another file")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about types of storage that nobody here uses
            return torch.load(file, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception:  # what torch's reader raises on other bytes is anything
        raise InputError(
            f"{path}: cannot be read safely as weights (it is none, cut off, or holds more than "
            "tensors); export the state dict as safetensors, or fetch the file again"
        ) from None
