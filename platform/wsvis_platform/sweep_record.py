"""A sweep in MLflow: a parent run, a child per trial, with settings, curves, keys, pictures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from wsvis.config import Config
from wsvis.config_checks import flatten, with_overrides
from wsvis.data.atomic import new_file, write_text
from wsvis.evaluation.report import json_ready
from wsvis.pipeline import BY_NAME
from wsvis.stage_keys import needed
from wsvis.types import Dataset
from wsvis.viz.movies import write_png
from wsvis_platform.curves import training_curves
from wsvis_platform.disk_full import room_to_end
from wsvis_platform.importance_figure import importance_figure
from wsvis_platform.measure import METRICS, Measurement
from wsvis_platform.options import MachineOptions, RunOptions, SweepOptions
from wsvis_platform.pictures import chosen_frames, setting_strips
from wsvis_platform.provenance import git_state
from wsvis_platform.run_lock import is_driven
from wsvis_platform.stopping import exit_status, not_cut_short
from wsvis_platform.store import Store
from wsvis_platform.sweep import Trial
from wsvis_platform.sweep_figures import objective_figure
from wsvis_platform.sweep_report import setting_text
from wsvis_platform.tracking import Tracker

Row = tuple[str, str, Measurement, Measurement | None]
"""Name, quality stage, measurement on the training clips and on held-out clips."""


class SweepRecord:
    """Writes a sweep to MLflow and pictures to its folder, from the driver alone."""

    def __init__(
        self,
        tracker: Tracker,
        parent: str,
        options: RunOptions,
        config: Config,
        dataset: Dataset,
        store: Store,
        folder: Path,
        target: str,
    ) -> None:
        self.tracker, self.parent = tracker, parent
        self.options, self.config = options, config
        self.dataset, self.store, self.folder, self.target = dataset, store, folder, target
        self.frames = chosen_frames(dataset)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        options: RunOptions,
        experiment: str,
        title: str,
        preset: str,
        config: Config,
        dataset: Dataset,
        held_out: Dataset | None,
        store: Store,
        folder: Path,
        target: str,
        warn: Callable[[str], None],
    ) -> Iterator[SweepRecord]:
        """A record whose parent run ends FINISHED; FAILED or, when it is stopped, KILLED.

        The caller holds ``folder`` against other drivers.
        """
        output = Path(options.output)
        tracker = Tracker.open(options.tracking_uri, output, experiment)
        machine = {each.name for each in fields(MachineOptions)}
        given = flatten(options)
        with room_to_end(folder) as make_room:
            parent = tracker.start_sweep(
                title,
                params={
                    **flatten(config),
                    **{f"sweep.{k}": v for k, v in given.items() if k not in machine},
                    "data_fingerprint": dataset.fingerprint,
                    "held_out_fingerprint": held_out.fingerprint if held_out else "",
                },
                tags={
                    # no part of what makes a run another one: results do not depend on them
                    **{f"machine.{k}": str(given[k]) for k in sorted(machine)},
                    "preset": preset,
                    "data": dataset.name,
                    "data_fingerprint": dataset.fingerprint,
                    "videos": str(len(dataset.videos)),
                },
                folder=f"{folder.parent.name}/{folder.name}",
                is_driven=lambda name: is_driven(output / name),
            )
            try:
                yield cls(tracker, parent, options, config, dataset, store, folder, target)
            except BaseException as error:
                make_room()
                stopped = exit_status() or isinstance(error, KeyboardInterrupt)
                tracker.finish(parent, "KILLED" if stopped else "FAILED")
                raise
        with not_cut_short():
            lost = tracker.finish(parent, "FINISHED")
        if lost:
            warn(lost)

    def browse(self) -> str:
        """What to type to look at the runs."""
        return self.tracker.browse()

    def trial(self, trial: Trial) -> None:
        """One finished trial as a child run; a failed one keeps its reason."""
        found = trial.measurement
        name = f"trial {trial.label} {setting_text(trial.overrides)}"
        if found is None:
            self.tracker.log_trial(
                self.parent,
                name,
                self._identity(trial.overrides, self.options.seeds),
                params={**flatten(self.config), **trial.overrides},
                metrics={},
                tags={"reason": trial.error[:4000]},
                status="FAILED",
                seconds=trial.seconds,
            )
            return
        identity = self._identity(found.overrides, found.seeds)
        self._child(name, identity, self.target, found, None, trial.seconds, trial.pruned)

    def results(
        self,
        rows: Sequence[Row],
        trials: Sequence[Trial],
        metric: str,
        axes: tuple[str, str],
        files: Sequence[Path],
    ) -> None:
        """Baselines and fixed settings as child runs; plots, tables, summary to the parent."""
        for name, target, found, other in rows:
            if name != BEST:
                self._child(name, f"{self.folder.name}/{name}", target, found, other)
        best = next((row for row in rows if row[0] == BEST), None)
        best = best or max(_methods(rows), key=lambda row: row[2].rank("ap50"))
        summary: dict[str, float] = {f"best_{k}": v for k, v in best[2].summary().items()}
        if best[3] is not None:
            summary.update({f"best_held_out_{k}": v for k, v in best[3].summary().items()})
        points = [t for t in trials if t.measurement is not None]
        rest = list(files)
        if points:
            seed = self.options.sampler_seed if isinstance(self.options, SweepOptions) else 0
            table = [
                {**t.measurement.overrides, **t.measurement.summary(), "pruned": t.pruned}
                for t in points
                if t.measurement
            ]
            # a pruned trial's mean is over fewer seeds: it is drawn, and weighs nothing
            whole = [row for row in table if not row["pruned"]]
            for name, figure in (
                ("objective.png", objective_figure(table, axes, f"{metric}_mean")),
                (
                    "importance.png",
                    importance_figure(whole, f"{metric}_mean", seed),
                ),
            ):
                with new_file(self.folder / name) as written:
                    figure.savefig(written, dpi=110)
                rest.append(self.folder / name)
        file = self.folder / "summary.json"
        plain = json_ready(
            {
                "schema": 1,
                "objective": metric,
                "data": self.dataset.name,
                "data_fingerprint": self.dataset.fingerprint,
                "seeds": list(self.options.seeds),
                **git_state(),
                "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "rows": [_plain(row) for row in rows],
            }
        )
        write_text(file, json.dumps(plain, indent=1, allow_nan=False) + "\n")
        self.tracker.log_parent(self.parent, _finite(summary), [*rest, file])
        shown = [f"{metric}_mean", f"{metric}_std", f"held_out_{metric}_mean"]
        shown += [f"{name}_mean" for name in METRICS if name != metric]
        swept = dict.fromkeys(name for row in rows for name in row[2].overrides)
        self.tracker.share_view(shown, list(swept))

    def _child(
        self,
        name: str,
        identity: str,
        target: str,
        found: Measurement,
        other: Measurement | None,
        seconds: float = 0.0,
        pruned: bool = False,
    ) -> None:
        config = with_overrides(replace(self.config, seed=found.seeds[0]), found.overrides)
        metrics = found.summary()
        if other is not None:
            metrics.update({f"held_out_{k}": v for k, v in other.summary().items()})
        strip = self._strip(name, target, config, found)
        curves = training_curves(self.store, found)
        self.tracker.log_trial(
            self.parent,
            name,
            identity,
            params=flatten(config),
            metrics=_finite(metrics),
            series=[(n, _finite(row)) for n, row in enumerate(found.per_seed)] + curves,
            tags={
                "quality_stage": target,
                "pruned": str(pruned).lower(),
                "seeds": " ".join(map(str, found.seeds)),
                "coverage": f"{found.coverage:.4f}",
                "computed": " ".join(found.computed),
                "reused": " ".join(found.reused),
                "data_fingerprint": self.dataset.fingerprint,
                **{
                    f"store.seed{seed}.{stage}": key
                    for seed, keys in zip(found.seeds, found.keys, strict=True)
                    for stage, key in keys.items()
                },
            },
            pictures={"strip.jpg": strip},  # a PNG would take longer than all the rest
            status="KILLED" if pruned else "FINISHED",
            seconds=seconds,
        )

    def _identity(self, overrides: Mapping[str, Any], seeds: Sequence[int]) -> str:
        # not the trial's number: the same settings and seeds are the same run in a longer sweep too
        text = json.dumps([overrides, seeds], sort_keys=True)
        return f"{self.folder.name}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def _strip(self, name: str, target: str, config: Config, found: Measurement) -> np.ndarray:
        masks = BY_NAME[target].inputs[0]  # a quality stage reads what it measures
        title = f"{name}: AP50 {100 * found.mean('ap50'):.1f}, mIoU {100 * found.mean('miou'):.1f}"
        strip = setting_strips(
            config, self.dataset, self.store, found.keys[0], masks, self.frames, title
        )
        # a trial's settings stand in its title; its file bears the number alone
        number = re.match(r"trial \d+", name)
        short = re.sub(r"[^A-Za-z0-9.+-]+", "_", number.group() if number else name)
        file = self.folder / "strips" / f"{short}.png"
        file.parent.mkdir(exist_ok=True)
        write_png(file, strip)
        return strip


BEST = "best of the sweep"
"""Name of the winner's row; the trial itself is its run."""


def _methods(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows that learn from no annotated mask, unless all do: an upper bound is never best."""
    weak = [
        row
        for row in rows
        if not any(stage.sees_truth and stage.per_video for stage in needed([row[1]]))
    ]
    return weak or rows


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _plain(row: Row) -> dict[str, Any]:
    name, target, found, other = row
    return {
        "name": name,
        "quality_stage": target,
        "settings": found.overrides,
        "seeds": list(found.seeds),
        "per_seed": found.per_seed,
        "held_out_per_seed": other.per_seed if other else None,
        "store_keys": found.keys,
        "coverage": found.coverage,
    }
