"""A sweep in MLflow: a parent run, a child per trial, with settings, curves, keys, pictures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsvis.config import Config
from wsvis.evaluation.metrics import shown_with
from wsvis.plan import make_plan, settings_read, shown_stage
from wsvis.settings import config_slice, flatten, with_overrides
from wsvis.types import Dataset
from wsvis.viz.movies import write_png
from wsvis_platform.disk_full import room_to_end
from wsvis_platform.names import row_file_name
from wsvis_platform.options import MachineOptions, RunOptions, SweepOptions
from wsvis_platform.record.curves import training_curves
from wsvis_platform.record.image_grid import MASKS
from wsvis_platform.record.mlflow_data import data_inputs
from wsvis_platform.record.pictures import FramePictures, chosen_frames, frame_pictures, stacked
from wsvis_platform.record.tracker import Tracker
from wsvis_platform.report.notes import row_note, sweep_note, trial_name
from wsvis_platform.report.summary import (
    BEST,
    best_numbers,
    best_row,
    write_detector,
    write_figures,
    write_summary,
)
from wsvis_platform.report.sweep_tables import setting_text
from wsvis_platform.results import Measurement, Row, Trial
from wsvis_platform.run_lock import is_driven
from wsvis_platform.stopping import exit_status, not_cut_short
from wsvis_platform.store.store import Store


class SweepRecord:
    """Writes a sweep to MLflow and pictures to its folder, from the driver alone."""

    def __init__(
        self,
        tracker: Tracker,
        parent: str,
        options: RunOptions,
        config: Config,
        dataset: Dataset,
        held_out: Dataset | None,
        store: Store,
        folder: Path,
        target: str,
    ) -> None:
        self.tracker, self.parent = tracker, parent
        self.options, self.config = options, config
        self.dataset, self.store, self.folder, self.target = dataset, store, folder, target
        self.frames = chosen_frames(dataset)
        self.inputs = data_inputs(config.data, dataset)
        self.both_inputs = data_inputs(config.data, dataset, held_out)

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
        targets: Sequence[str],
        warn: Callable[[str], None],
    ) -> Iterator[SweepRecord]:
        """A record whose parent run ends FINISHED; FAILED or, when it is stopped, KILLED.

        The caller holds ``folder`` against other drivers. Of ``targets``, the quality stages that
        are measured, the first is that of the trials.
        """
        output = Path(options.output)
        tracker = Tracker.open(options.tracking_uri, output, experiment)
        machine = {each.name for each in fields(MachineOptions)}
        given = flatten(options)
        with room_to_end(folder) as make_room:
            parent = tracker.start_sweep(
                title,
                params={
                    **settings_read(config, make_plan(config, dataset, targets).steps),
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
                inputs=data_inputs(config.data, dataset, held_out),
                folder=f"{folder.parent.name}/{folder.name}",
                is_driven=lambda name: is_driven(output / name),
            )
            try:
                yield cls(
                    tracker, parent, options, config, dataset, held_out, store, folder, targets[0]
                )
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
        scored = trial.measurement
        name = trial_name(trial.label, trial.overrides, pruned=trial.pruned)
        if scored is None:
            plan = make_plan(self.config, self.dataset, [self.target])
            ran = settings_read(self.config, plan.steps)
            self.tracker.log_trial(
                self.parent,
                name,
                self._identity(trial.overrides, self.options.seeds),
                params={**ran, **trial.overrides},
                settings={**flatten(self.config), **trial.overrides},
                metrics={},
                tags={"reason": trial.error[:4000]},
                status="FAILED",
                seconds=trial.seconds,
                inputs=self.inputs,
            )
            return
        self._trial(trial, Row(name, scored, target=self.target))

    def _trial(self, trial: Trial, row: Row, detector: str = "") -> None:
        """A measured trial; the best one once more, with its numbers on held-out clips."""
        scored = row.measurement
        self._child(
            trial_name(trial.label, trial.overrides, pruned=trial.pruned),
            self._identity(scored.overrides, scored.seeds),
            row,
            title=f"trial {trial.label}: {setting_text(scored.overrides)}",
            file=f"trial_{trial.label}",
            detector=detector,
            seconds=trial.seconds,
            pruned=trial.pruned,
        )

    def results(
        self,
        rows: Sequence[Row],
        trials: Sequence[Trial],
        metric: str,
        axes: tuple[str, str],
        table: str,
        files: Sequence[Path],
    ) -> None:
        """Baselines and fixed settings as child runs; plots, tables, summary to the parent.

        Args:
            rows: of the result table.
            trials: of the sweep; none where there was no search.
            metric: the objective.
            axes: the two settings it is plotted over.
            table: Markdown of the result table.
            files: further artifacts.
        """
        for row in rows:
            detector = write_detector(self.folder, row, self.store)
            file = f"detectors/{detector.name}" if detector else ""
            if row.name == BEST:  # its trial is its run
                self._trial(next(t for t in trials if t.measurement == row.measurement), row, file)
                continue
            self._child(
                row.name,
                f"{self.folder.name}/{row.name}",
                row,
                title=f"{row.name}: {setting_text(row.measurement.overrides)}",
                file=row_file_name(row.name),
                detector=file,
            )
        seed = self.options.sampler_seed if isinstance(self.options, SweepOptions) else 0
        written = [*files, *write_figures(self.folder, trials, axes, metric, seed)]
        written.append(self.folder / "summary.json")
        write_summary(written[-1], rows, metric, self.dataset, self.options.seeds)
        best = best_row(rows, metric)
        pictures = [file.name for file in written if file.suffix == ".png"]
        note = partial(sweep_note, best=best, table=table, pictures=pictures)
        self.tracker.log_parent(self.parent, best_numbers(best), written, note)
        first, *more = shown_with(metric)
        shown = [first, f"{first}_std", f"held_out/{first}", *more]
        swept = dict.fromkeys(name for row in rows for name in row.measurement.overrides)
        self.tracker.share_view(shown, list(swept), self.parent)

    def _child(
        self,
        name: str,
        identity: str,
        row: Row,
        *,
        title: str,
        file: str,
        detector: str = "",
        seconds: float = 0.0,
        pruned: bool = False,
    ) -> None:
        target, scored, other = row.target, row.measurement, row.held_out
        config = with_overrides(replace(self.config, seed=scored.seeds[0]), scored.overrides)
        # numbers over fewer seeds have a group of their own: in a list sorted by the objective
        # they would stand among those that they cannot be compared with
        group = "pruned/" if pruned else ""
        metrics = {f"{group}{k}": v for k, v in scored.summary().items()}
        if other is not None:
            metrics |= {f"held_out/{k}": v for k, v in other.summary().items()}
        per_seed = [
            (n, _finite({f"per_seed/{k}": v for k, v in scores.items()}))
            for n, scores in enumerate(scored.per_seed)
        ]
        pictures = self._pictures(target, config, scored)
        strip = self._strip(title, file, pictures, scored)
        self.tracker.log_trial(
            self.parent,
            name,
            identity,
            params={
                **settings_read(config, make_plan(config, self.dataset, [target]).steps),
                **config_slice(config, tuple(scored.overrides)),
            },
            settings=flatten(config),
            metrics=_finite(metrics),
            series=per_seed + training_curves(self.store, scored),
            tags={
                "quality_stage": target,
                "pruned": str(pruned).lower(),
                "seeds": " ".join(map(str, scored.seeds)),
                "coverage": f"{scored.coverage:.4f}",
                "computed": " ".join(scored.computed),
                "reused": " ".join(scored.reused),
                "data_fingerprint": self.dataset.fingerprint,
                **({"detector": detector} if detector else {}),
                **{
                    f"store.seed{seed}.{stage}": key
                    for seed, keys in zip(scored.seeds, scored.keys, strict=True)
                    for stage, key in keys.items()
                },
            },
            pictures={"strip.jpg": strip},  # a PNG would take longer than all the rest
            grid={MASKS: [each.detected for each in pictures]},
            describe=partial(
                row_note, scored=scored, other=other, detector=detector, pruned=pruned
            ),
            seconds=seconds,
            inputs=self.inputs if other is None else self.both_inputs,
        )

    def _identity(self, overrides: Mapping[str, Any], seeds: Sequence[int]) -> str:
        # not the trial's number: the same settings and seeds are the same run in a longer sweep too
        text = json.dumps([overrides, seeds], sort_keys=True)
        return f"{self.folder.name}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def _pictures(self, target: str, config: Config, scored: Measurement) -> list[FramePictures]:
        masks = shown_stage(target)
        return frame_pictures(config, self.dataset, self.store, scored.keys[0], masks, self.frames)

    def _strip(
        self, title: str, file: str, pictures: Sequence[FramePictures], scored: Measurement
    ) -> np.ndarray:
        """The strip as a picture, also written to the folder."""
        scores = f"AP50 {100 * scored.mean('ap50'):.1f}, mIoU {100 * scored.mean('miou'):.1f}"
        split = f"seed {scored.seeds[0]}, {self.dataset.name}, split {self.config.data.split}"
        strip = stacked(pictures, f"{title}; {scores}; {split}")
        path = self.folder / "strips" / f"{file}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(path, strip)
        return strip


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
