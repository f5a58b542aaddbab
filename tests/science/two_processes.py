"""Runs a training as two processes that average their gradients."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
from torch import Tensor, multiprocessing


def sum_over_workers(values: Tensor) -> Tensor:
    dist.all_reduce(values)
    return values


def run_two_processes(train: Callable[[int, int, Path], None], folder: Path) -> None:
    """Calls train(0, 2, folder) and train(1, 2, folder), each in a process of its own."""
    multiprocessing.start_processes(_join, (train, folder), nprocs=2, start_method="spawn")


def _join(worker: int, train: Callable[[int, int, Path], None], folder: Path) -> None:
    where = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=where, rank=worker, world_size=2)
    train(worker, 2, folder)
    dist.barrier()
    # DistributedDataParallel keeps gloo's threads alive. One that frees a tensor while Python
    # shuts down aborts the process, so Python's shutdown is left out.
    os._exit(0)
