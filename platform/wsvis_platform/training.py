"""Training of flowIRN over several processes by Ray Train.

Every worker holds the same network and its share of every batch; gradients are summed, so several
workers do what one does with the whole batch. Worker 0 hands a training state to Ray Train every
few steps. When a worker dies, Ray Train ends the group and starts it again from the last state, and
since batches follow from the step alone, the result is that of a training nobody disturbed. A
driver that was stopped goes on from the same state when it asks for the same result again.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.irn.stages import Group, initial_irn, train, training_frames
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis.types import Dataset, Report
from wsvis_platform.extract import limit_threads
from wsvis_platform.materialise import Trainer
from wsvis_platform.ray_process import environment
from wsvis_platform.store import WHOLE, CorruptEntryError, Store
from wsvis_platform.training_stream import BatchStream, IrnSource, trouble_error, trouble_text
from wsvis_platform.video_worker import StoreInputs

STAGE = "irn"
_STATE = "state.safetensors"


@dataclass(frozen=True)
class Start:
    """A worker that began to train, for the first time or again."""

    worker: int
    step: int
    """Where it began: 0, or the step of the last training state."""
    pid: int
    machine: str


@dataclass(frozen=True)
class _Job:
    """What every worker is told."""

    source: IrnSource
    checkpoint_every: int
    readers: int
    cpus: float
    """That a worker holds, and each of its readers."""


@ray.remote(num_cpus=0)
class _Board:
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
        self.numbers.append(numbers)

    def fail(self, trouble: str) -> None:
        self.trouble = trouble

    def failed(self) -> bool:
        return bool(self.trouble)

    def news(self) -> tuple[list[Start], list[dict[str, float]], str]:
        """What is new since the last call."""
        starts, self.starts = self.starts, []
        numbers, self.numbers = self.numbers, []
        return starts, numbers, self.trouble


class _StopOnTrouble(ray.train.UserCallback):
    """Ends a training that would fail again: dead workers are replaced, bad settings are not."""

    def __init__(self, board: Any) -> None:
        self.board = board

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raising here ends the whole training, without another attempt."""
        if ray.get(self.board.failed.remote()):
            raise RuntimeError("no attempt can succeed")


def train_irn_distributed(
    config: Config,
    dataset: Dataset,
    store: Store,
    keys: Mapping[str, str],
    report: Report | None = None,
    *,
    workers: int,
    gpus_per_worker: float = 0.0,
    readers: int = 1,
    cpus: float = 0.0,
    checkpoint_every: int = 50,
    max_failures: int = 3,
    started: Callable[[Start], None] | None = None,
) -> None:
    """Train flowIRN over several workers and stage what ``wsvis.irn.stages.irn`` would give.

    Ray must be running; the stages before it must be complete in the store.

    Args:
        config: the whole run's settings.
        dataset: the training videos.
        store: on a file system that all machines share.
        keys: stage -> key, of the stages before and of this one.
        report: hears worker 0's numbers, in this process.
        workers: processes that train together.
        gpus_per_worker: GPUs each holds; 0 trains on CPUs. Below 1 several share one.
        readers: actors that decode and augment frames, per worker.
        cpus: CPUs to take in all; 0 = all of the cluster. Each process gets at most one.
        checkpoint_every: steps between training states.
        max_failures: how often dead workers may be replaced.
        started: hears each worker that begins, the first time and after a failure.

    Raises:
        InputError: settings or data with which no training is possible; one line.
        CorruptEntryError: a stored input differs from what was written.
    """
    blind = replace(dataset, videos=tuple(replace(v, instances=None) for v in dataset.videos))
    _check_batch(config, sum(video.length for video in blind.videos), workers)
    room = cpus or ray.cluster_resources().get("CPU", 1.0)
    share = min(1.0, int(1000 * room / (workers * (1 + readers))) / 1000)  # Ray counts thousandths
    source = IrnSource(config, blind, str(store.root), dict(keys))
    folder = store.root / "training"
    board: Any = _Board.remote()
    failed: list[BaseException] = []

    def fit() -> None:
        try:
            _fit(
                {"job": _Job(source, checkpoint_every, readers, share), "board": board},
                workers=workers,
                cpus=share,
                gpus=gpus_per_worker,
                folder=folder,
                name=keys[STAGE],
                max_failures=max_failures,
            )
        except BaseException as error:
            failed.append(error)

    # In a thread of its own: this one stays free to report, and to be interrupted.
    fitting = threading.Thread(target=fit, daemon=True)
    fitting.start()
    try:
        trouble = ""
        while True:
            alive = fitting.is_alive()
            starts, numbers, trouble = ray.get(board.news.remote())
            for start in starts:
                if started:
                    started(start)
            for row in numbers:
                if report:
                    report(row)
            if not alive:
                break
            fitting.join(0.2)
    finally:
        ray.kill(board)  # workers that outlive an interrupted driver stop at their next report
    if trouble:
        shutil.rmtree(folder / keys[STAGE], ignore_errors=True)
        raise trouble_error(trouble)
    if failed:
        raise failed[0]
    shutil.rmtree(folder / keys[STAGE], ignore_errors=True)


def ray_train_trainers(
    *, workers: int, gpus_per_worker: float = 0.0, cpus: float = 0.0
) -> dict[str, Trainer]:
    """Stage -> how to train it over several workers, for a ``Materialiser``.

    Who holds CPUs itself (a trial) gives the rest as ``cpus``; else the workers wait for its own.
    """

    def irn(
        config: Config,
        dataset: Dataset,
        store: Store,
        keys: Mapping[str, str],
        report: Report | None,
    ) -> None:
        train_irn_distributed(
            config,
            dataset,
            store,
            keys,
            report,
            workers=workers,
            gpus_per_worker=gpus_per_worker,
            cpus=cpus,
        )

    return {STAGE: irn}


def _check_batch(config: Config, frames: int, workers: int) -> None:
    """Each batch must split evenly, or the number of workers would change the result."""
    batch = min(config.irn.batch_size, frames)
    if batch % workers or not batch:
        raise InputError(
            f"--train-workers {workers}: a batch of {batch} frames does not split evenly; choose "
            "another number, or irn.batch_size as a multiple of it"
        )


def _fit(
    told: dict[str, Any],
    *,
    workers: int,
    cpus: float,
    gpus: float,
    folder: Path,
    name: str,
    max_failures: int,
) -> None:
    resources = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
    # NCCL refuses two workers on one GPU; gloo does not mind
    backend = "nccl" if gpus >= 1 else "gloo"
    # workers stay in the driver's folder, where relative paths of frames mean something
    with environment(RAY_CHDIR_TO_TRIAL_DIR="0"):
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config=told,
            torch_config=TorchConfig(backend=backend),
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers, use_gpu=gpus > 0, resources_per_worker=resources
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=str(folder),
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
                callbacks=[_StopOnTrouble(told["board"])],
            ),
        )
        trainer.fit()


def _train_worker(told: dict[str, Any]) -> None:
    """What runs in each training process."""
    job: _Job = told["job"]
    board: Any = told["board"]
    torch.set_num_threads(max(int(job.cpus), 1))
    limit_threads(1)
    try:
        _train_share(job, board)
    except (InputError, CorruptEntryError) as error:
        # the others may be waiting for this worker's share: the group has to fail, not to end
        ray.get(board.fail.remote(trouble_text(error)))
        raise


def _train_share(job: _Job, board: Any) -> None:
    context = ray.train.get_context()
    worker, workers = context.get_world_rank(), context.get_world_size()
    state = _last_state()
    step = int(state.data["step"]) if state else 0
    if ray.get(board.start.remote(Start(worker, step, os.getpid(), socket.gethostname()))):
        return
    source = job.source
    store = Store(source.root)
    inputs = StoreInputs(store, source.keys)
    stream = BatchStream(source, worker, workers, readers=job.readers, cpus_per_reader=job.cpus)
    latest: dict[str, float] = {}

    def report(numbers: Mapping[str, float]) -> None:
        latest.update({name: float(value) for name, value in numbers.items()})
        if worker == 0:
            ray.get(board.write.remote(dict(latest)))

    def checkpoint(payload: Payload) -> None:
        _hand_over(payload if worker == 0 else None, latest)

    payload = train(
        source.config,
        initial_irn(source.config, source.dataset, inputs),
        stream.training,
        training_frames(source.config, source.dataset, inputs),
        report,
        group=Group(
            worker,
            workers,
            wrap=DistributedDataParallel if workers > 1 else None,
            sum_over_workers=_sum_over_workers,
        ),
        checkpoint=checkpoint,
        checkpoint_every=job.checkpoint_every,
        resume=state,
        mean_stream=stream.mean,
    )
    if worker == 0:
        store.stage_item(STAGE, source.keys[STAGE], WHOLE, payload)


def _sum_over_workers(values: Tensor) -> Tensor:
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _last_state() -> Payload | None:
    """The training state to go on from, if Ray Train has one."""
    found = ray.train.get_checkpoint()
    if found is None:
        return None
    with found.as_directory() as folder:
        return from_bytes((Path(folder) / _STATE).read_bytes())


def _hand_over(payload: Payload | None, numbers: Mapping[str, float]) -> None:
    """Report to Ray Train, with a training state from worker 0; all workers meet here."""
    if payload is None:
        ray.train.report(dict(numbers))
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _STATE).write_bytes(to_bytes(payload))
        ray.train.report(dict(numbers), ray.train.Checkpoint.from_directory(folder))
