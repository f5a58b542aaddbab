"""Options of an experiment, beside its settings: what is tried, where, on which machines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

from wsvis.errors import InputError, shown_value
from wsvis.evaluation.metrics import OBJECTIVES, OF_DETECTORS
from wsvis.settings import check_choices, check_range, suggestion
from wsvis_platform.given_paths import absolute_path
from wsvis_platform.names import check_run_name


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """On which machines a run works; none of it changes a result."""

    tracking_uri: str = ""
    """MLflow server; empty: sqlite in the output folder, whatever MLFLOW_TRACKING_URI says."""
    address: str = ""
    """Ray cluster to join; empty: start Ray on this machine only, bound to 127.0.0.1, whatever
    RAY_ADDRESS says."""
    workers: int = 0
    """Parallel workers; 0 = one per CPU."""
    gpus: str = "auto"
    """GPUs to use: auto = all there are, or a number; 0 = none. On a cluster that is joined: auto
    or 0."""
    gpus_per_worker: float = 1.0
    """GPUs a worker of a stage with a network holds, where GPUs are used; 0.5 lets two share
    one."""
    train_workers: int = 0
    """Ray Train workers that share each training of flowIRN or of a detector (irn.batch_size and
    detector.batch_size must be multiples of it); 0 = one process per training, as many trainings
    side by side as there is room for. The trials of a sweep always train alone."""

    def __post_init__(self) -> None:
        check_choices(self, "option")
        check_range("--workers", self.workers, 0, 100_000)
        check_range("--gpus-per-worker", self.gpus_per_worker, 0, 64)
        if self.gpus != "auto" and not (self.gpus.isascii() and self.gpus.isdigit()):
            raise InputError(f"--gpus is {self.gpus!r}; give auto, 0 or a number of GPUs")
        check_range("--train-workers", self.train_workers, 0, 100_000)

    def with_absolute_paths(self) -> Self:
        """The same with its folders named from the root on: Ray's workers stand in others.

        Raises:
            InputError: a folder that is needed is not named, or cannot be called so.
        """
        return self


@dataclass(frozen=True, kw_only=True)
class RunOptions(MachineOptions):
    """What every experiment can be told; none of it changes a result of one seed."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Each setting is evaluated once per seed; mean and standard deviation are reported."""
    output: str = "runs"
    """Everything a run writes goes below this folder: store, MLflow database, tables, pictures."""
    name: str = ""
    """Name of the run; empty: the script's name and the time."""
    held_out: bool = True
    """Measure on held-out clips too, which chose nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_run_name("--name", self.name)
        if not self.seeds:
            raise InputError("--seeds is empty; give at least one, such as --seeds 0 1 2")
        if len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"--seeds {self.seeds} names a seed twice; each counts once")
        for seed in self.seeds:
            check_range("--seeds", seed, 0, 2**31 - 1)

    def with_absolute_paths(self) -> Self:
        """The same with its output folder named from the root on."""
        if not self.output:
            raise InputError("--output is empty; give a folder, such as runs")
        return replace(self, output=absolute_path(self.output, "--output"))


@dataclass(frozen=True, kw_only=True)
class ClipRunOptions(MachineOptions):
    """What ``wsvis run`` can be told."""

    videos: str = ""
    """Folder of videos with labels.csv, or another data set (as --data.path)."""
    out: str = ""
    """Folder for all results; the same command goes on where it was stopped."""
    stop_after: Literal["masks", "labels", "detector", "tracks"] = "tracks"
    """Last step: masks straight from class maps (seconds to minutes), labels of flowIRN, detector,
    or tracks. Films and a report are made of what there is."""
    learn_from: Literal["auto", "fcam", "flowirn"] = "auto"
    """What the detector learns from: masks straight from f-CAM, flowIRN's labels, or (auto) the
    masks where class maps come from ImageNet's own head, else flowIRN's unless they ran away."""
    film: Literal["webm", "mp4", "gif", "none"] = "webm"
    """Kind of the films; browsers play webm and gif."""
    drawn_score: float = 0.1
    """Tracks of a detector that score less are not drawn; they are in the results."""
    store: str = ""
    """Folder of stored stages, which runs may share; empty: OUT/store."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("--drawn-score", self.drawn_score, 0, 1)

    def with_absolute_paths(self) -> Self:
        """The same with its folders named from the root on."""
        if not self.out:
            raise InputError("--out is empty; give the folder that the results go to")
        return replace(
            self,
            out=absolute_path(self.out, "--out"),
            store=self.store and absolute_path(self.store, "--store"),
            videos=self.videos and absolute_path(self.videos, "--videos"),
        )


@dataclass(frozen=True, kw_only=True)
class AblationOptions(RunOptions):
    """How an ablation is run."""

    thresholds: tuple[float, ...] = ()
    """Foreground thresholds each variant may choose among, by its mean AP50 on the training
    frames; empty: the one of the configuration for all."""

    rows: tuple[int, ...] = ()
    """Numbers of the table's rows to measure, from 1 on; empty: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for threshold in self.thresholds:
            check_range("--thresholds", threshold, 0, 1e6)
        for row in self.rows:
            check_range("--rows", row, 1, 1000)


@dataclass(frozen=True, kw_only=True)
class FlowirnOptions(AblationOptions):
    """How the ablation of pseudo-labels is run."""

    cameras: tuple[Literal["none", "median", "affine", "homography"], ...] = ()
    """Camera compensations of f-CAM to give rows of their own; empty: the configuration's."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions(RunOptions):
    """How a sweep is run."""

    seeds: tuple[int, ...] = (0, 1)
    """Each setting is evaluated once per seed, unless it is pruned before; mean and standard
    deviation are reported. Two keep a sweep short; tables come from ablations, with three."""
    num_samples: int = 8
    """Settings to try."""
    objective: str = "pseudo_label_ap50"
    """What the sweep maximises: the mean over seeds, on the training frames. pseudo_label_: what
    flowIRN makes of f-CAM, trained anew for each setting; pseudo_mask_: masks straight from f-CAM,
    a hundred times cheaper; prediction_: what a detector finds that was trained on the
    pseudo-labels; each with ap50, ap25, ap75 or miou. video_ap, video_ap50, video_ap75, video_ar1,
    video_ar10: that detector's tracks; tc: how steady its masks are."""
    prune: Literal["halving", "median", "none"] = "halving"
    """Stop settings early that are behind after their first seed: successive halving (the best
    quarter goes on), the median rule (the better half after each seed), or not at all."""
    batch: int = 6
    """Settings proposed and compared at once. Each decision waits for whole batches, so that the
    same sweep gives the same table whatever the number and speed of the workers; with more workers
    than this some are idle."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Optuna's sampler, named so that a new version's default cannot change a sweep."""
    sampler_seed: int = 0
    """Of the sampler: the same seed tries the same settings."""

    @property
    def metric(self) -> str:
        """The objective's metric, such as ap50."""
        return OBJECTIVES[self.objective][1]

    @property
    def target(self) -> str:
        """The quality stage that measures the objective."""
        return OBJECTIVES[self.objective][0]

    def _check_objective(self, choices: Iterable[str]) -> None:
        if self.objective not in (names := list(choices)):
            raise InputError(
                f"--objective is {shown_value(self.objective)}; {suggestion(self.objective, names)}"
            )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_objective(OBJECTIVES)
        check_range("--num-samples", self.num_samples, 0, 1_000_000)
        check_range("--batch", self.batch, 1, 100_000)
        check_range("--sampler-seed", self.sampler_seed, 0, 2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class PredictionSweepOptions(SweepOptions):
    """How a sweep over the detector's settings is run."""

    objective: str = "prediction_ap50"
    """What the sweep maximises: the mean over seeds of what the detector finds, on the training
    frames (prediction_ap50, _ap25, _ap75, _miou), or of its tracks (video_ap, video_ap50,
    video_ap75, video_ar1, video_ar10, tc). Every setting trains a detector anew."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_objective(OF_DETECTORS)
