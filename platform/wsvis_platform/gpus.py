"""How many GPUs an experiment uses: all there are, a number, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from wsvis.errors import InputError
from wsvis_platform.options import MachineOptions

Options = TypeVar("Options", bound=MachineOptions)


def gpus_here() -> int:
    """GPUs of this machine that this process may use (CUDA_VISIBLE_DEVICES counts)."""
    import torch

    return torch.cuda.device_count()


def gpus_to_use(requested: str, available: int, where: str = "this machine") -> int:
    """The number of GPUs that ``--gpus`` asks for.

    Args:
        requested: ``auto`` or a whole number.
        available: how many there are.
        where: what has them, for the error line.

    Raises:
        InputError: more than there are.
    """
    if requested == "auto":
        return available
    count = int(requested)
    if count > available:
        have = "none" if available == 0 else f"{available}"
        cure = "leave it out" if available == 0 else f"give at most {available}, or auto"
        raise InputError(f"--gpus {requested}: {where} has {have}; {cure}")
    return count


def with_gpus(options: Options, available: int) -> Options:
    """The options with ``--gpus`` as a number, and no share of a GPU where none is used.

    Raises:
        InputError: more GPUs than there are.
    """
    where = options.address or "this machine"
    count = gpus_to_use(options.gpus, available, where)
    share = options.gpus_per_worker if count else 0.0
    return replace(options, gpus=str(count), gpus_per_worker=share)
