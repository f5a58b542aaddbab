"""What runs in each process of a training over several workers, and what it tells the driver."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from wsvis.errors import InputError
from wsvis.learning.share import Share
from wsvis.learning.workers import Group
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.store.extract import limit_threads
from wsvis_platform.store.store import WHOLE, CorruptEntryError, Store
from wsvis_platform.training.job import Job, trouble_text
from wsvis_platform.training.stream import BatchStream

_STATE = "state.safetensors"


@dataclass(frozen=True)
class Start:
    """A worker that began to train, for the first time or again."""

    worker: int
    step: int
    """Where it began: 0, or the step of the last training state."""
    pid: int
    machine: str


@ray.remote(num_cpus=0)
class Board:
    """Where workers write what the driver has to hear."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.numbers: list[dict[str, float]] = []
        self.trouble = ""

    def start(self, start: Start) -> str:
        """Note that a worker starts; what it gets back is a reason not to."""
        self.starts.append(start)
        return self.trouble

    def write(self, numbers: dict[str, float]) -> None:
        """Numbers of worker 0."""
        self.numbers.append(numbers)

    def fail(self, trouble: str) -> None:
        """A reason why no attempt can succeed."""
        self.trouble = trouble

    def failed(self) -> bool:
        """Whether there is such a reason."""
        return bool(self.trouble)

    def news(self) -> tuple[list[Start], list[dict[str, float]], str]:
        """What is new since the last call."""
        starts, self.starts = self.starts, []
        numbers, self.numbers = self.numbers, []
        return starts, numbers, self.trouble


def train_worker(loop_config: dict[str, Any]) -> None:
    """What runs in each training process."""
    job: Job = loop_config["job"]
    board: Any = loop_config["board"]
    torch.set_num_threads(max(int(job.cpus), 1))
    limit_threads(1)
    try:
        _train_share(job, board)
    except (InputError, CorruptEntryError) as error:
        # the others may be waiting for this worker's share: the group has to fail, not to end
        ray.get(board.fail.remote(trouble_text(error)))
        raise


def _train_share(job: Job, board: Any) -> None:
    context = ray.train.get_context()
    worker, workers = context.get_world_rank(), context.get_world_size()
    state = _last_state()
    step = int(state.data["step"]) if state else 0
    if ray.get(board.start.remote(Start(worker, step, os.getpid(), socket.gethostname()))):
        return
    latest: dict[str, float] = {}

    def report(numbers: Mapping[str, float]) -> None:
        latest.update({name: float(value) for name, value in numbers.items()})
        if worker == 0:
            ray.get(board.write.remote(dict(latest)))

    def checkpoint(payload: Payload) -> None:
        _hand_over(payload if worker == 0 else None, latest)

    stage = job.step.definition()
    assert stage.training is not None
    share = Share(
        group=Group(
            worker,
            workers,
            wrap=DistributedDataParallel if workers > 1 else None,
            sum_over_workers=_sum_over_workers,
        ),
        report=report,
        checkpoint=checkpoint,
        checkpoint_every=job.checkpoint_every,
        resume=state,
        stream=BatchStream(job, worker, workers) if job.readers else None,
    )
    payload = stage.training.train(stage.view(job.step.config), job.dataset, job.inputs(), share)
    if worker == 0:
        Store(job.root).stage_item(job.step.stage, job.step.key, WHOLE, payload)


def _sum_over_workers(values: Tensor) -> Tensor:
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _last_state() -> Payload | None:
    """The training state to go on from, if Ray Train has one."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return from_bytes((Path(folder) / _STATE).read_bytes())


def _hand_over(payload: Payload | None, numbers: Mapping[str, float]) -> None:
    """Report to Ray Train, with a training state from worker 0; all workers meet here."""
    if payload is None:
        ray.train.report(dict(numbers))
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _STATE).write_bytes(to_bytes(payload))
        ray.train.report(dict(numbers), ray.train.Checkpoint.from_directory(folder))
