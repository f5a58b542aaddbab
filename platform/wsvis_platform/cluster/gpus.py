"""The machines of a command: a Ray as its options ask for it, and how many GPUs it uses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from wsvis.errors import InputError
from wsvis_platform.cluster.start import Cluster, start_ray
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


@contextlib.contextmanager
def ray_for(options: Options) -> Iterator[tuple[Cluster, Options]]:
    """Ray for a block, and the options with ``--gpus`` as a number.

    Raises:
        InputError: the cluster cannot be reached, or has fewer GPUs; one line.
    """
    with start_ray(
        address=options.address or None,
        num_cpus=options.workers or None,
        num_gpus=None if options.address else int(options.gpus),
    ) as cluster:
        yield cluster, with_gpus(options, cluster.gpus)
