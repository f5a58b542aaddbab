"""Options of an experiment that must not change a result: where, how many, on which machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.config_checks import check_choices, check_range
from wsvis.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep is run."""

    num_samples: int = 16
    """Settings to try."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each setting is evaluated once per seed; mean and standard deviation are reported."""
    objective: Literal[
        "pseudo_label_ap50",
        "pseudo_label_miou",
        "pseudo_label_ap25",
        "pseudo_mask_ap50",
        "pseudo_mask_miou",
        "pseudo_mask_ap25",
    ] = "pseudo_label_ap50"
    """What the sweep maximises: the mean over seeds, on the training frames. pseudo_label: what
    flowIRN makes of f-CAM, trained anew for each setting; pseudo_mask: masks straight from f-CAM,
    a hundred times cheaper."""
    prune: Literal["asha", "median", "none"] = "asha"
    """Stop settings early that are behind after their first seed: successive halving (the best
    third goes on), the median rule, or not at all."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Optuna's sampler, named so that a new version's default cannot change a sweep."""
    sampler_seed: int = 0
    output: str = "runs"
    """Everything a run writes goes below this folder: store, MLflow database, tables, pictures."""
    name: str = ""
    """Name of the sweep; empty: the script's name and the time."""
    tracking_uri: str = ""
    """MLflow server; empty: sqlite in the output folder."""
    address: str = ""
    """Ray cluster to join; empty: start Ray on this machine only, bound to 127.0.0.1."""
    workers: int = 0
    """Parallel workers; 0 = one per CPU."""
    gpus_per_worker: float = 0.0
    """GPUs a network stage holds (a fraction shares one)."""
    held_out: bool = True
    """Measure the best setting and the baselines on held-out clips too, which chose nothing."""

    @property
    def metric(self) -> str:
        """The objective's metric: ap50, miou or ap25."""
        return self.objective.rpartition("_")[2]

    @property
    def target(self) -> str:
        """The quality stage that measures the objective."""
        return f"{self.objective.rpartition('_')[0]}_quality"

    def __post_init__(self) -> None:
        check_choices(self, "option")
        check_range("--num-samples", self.num_samples, 0, 1_000_000)
        check_range("--workers", self.workers, 0, 100_000)
        check_range("--gpus-per-worker", self.gpus_per_worker, 0, 64)
        check_range("--sampler-seed", self.sampler_seed, 0, 2**31 - 1)
        if not self.seeds:
            raise InputError("--seeds is empty; give at least one, such as --seeds 0 1 2")
        if len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"--seeds {self.seeds} names a seed twice; each counts once")
        for seed in self.seeds:
            check_range("--seeds", seed, 0, 2**31 - 1)
