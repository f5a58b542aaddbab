"""One sweep from start to finish: prepare, baselines, trials, held-out clips, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.files.atomic import write_text
from wsvis.plan import make_plan
from wsvis.settings import flatten, with_overrides
from wsvis.types import Dataset
from wsvis_platform.cluster.gpus import with_gpus
from wsvis_platform.config_files import write_config
from wsvis_platform.console import shown_path
from wsvis_platform.options import SweepOptions
from wsvis_platform.record.label_files import write_labels
from wsvis_platform.report.classifier_line import CLASSIFIER_QUALITY, classifier_line
from wsvis_platform.report.summary import BEST
from wsvis_platform.report.sweep_tables import (
    markdown_results,
    result_table,
    setting_text,
    trial_table,
    write_trials,
)
from wsvis_platform.results import Measurement, Row, Trial, score_text
from wsvis_platform.store.store import Store
from wsvis_platform.study.baselines import Baseline, best_baselines, measure_all
from wsvis_platform.study.session import open_run
from wsvis_platform.study.trials import best_of, run_trials


def sweep_and_report(
    name: str,
    config: Config,
    options: SweepOptions,
    *,
    preset: str,
    space: Mapping[str, Any],
    first: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, Mapping[str, Any]],
    baselines: Sequence[Baseline],
    prepare: Sequence[str],
    axes: tuple[str, str],
) -> None:
    """Run a sweep and leave its tables, files, pictures and MLflow runs.

    Args:
        name: what the sweep is called.
        config: settings that the sweep varies.
        options: how to run it.
        preset: the preset's name, for the record.
        space: dotted name -> Tune domain.
        first: settings to try before the sampler proposes any.
        fixed: named settings that always get a row of the result table.
        baselines: simpler methods, each at its own best setting.
        prepare: stages no trial changes, computed up front over the whole cluster.
        axes: the two settings the objective is plotted over.
    """
    started = time.monotonic()
    metric, target = options.metric, options.target
    beside = [baseline.target for baseline in baselines]
    with open_run("sweeps", name, config, options, preset, [target], beside) as run:
        options = with_gpus(options, run.gpus)
        screen, dataset, held_out, store = run.screen, run.dataset, run.held_out, run.store
        folder, record, prepare_on = run.folder, run.record, run.prepare
        prepare_on(_seeded(config, options), dataset, prepare, None)

        with screen.bar("baselines") as bar:
            best = best_baselines(
                config,
                baselines,
                options.seeds,
                dataset,
                store,
                metric,
                gpus=options.gpus_per_worker,
                progress=bar.update,
            )
        for each, measurement in best.items():
            screen.line(
                f"{each}: {_scores(measurement, metric)} at {setting_text(measurement.overrides)}"
            )

        trials: list[Trial] = []
        with screen.bar("trials", options.num_samples) as bar:

            def on_trial(trial: Trial) -> None:
                record.trial(trial)
                bar.update(bar.done + 1, options.num_samples)
                screen.line(_trial_line(trial, bar.done, options.num_samples, metric))

            trials = run_trials(
                config,
                space,
                dataset,
                store,
                options,
                folder=folder,
                first=first,
                on_trial=on_trial,
            )
        write_trials(folder / "trials.csv", trials, metric)
        _require_success(trials, metric, folder)

        rows = _rows(config, options, fixed, baselines, best, trials, target, dataset, store)
        if held_out is not None:
            prepared_held_out = _prepared_held_out(
                config, held_out, [row.target for row in rows], prepare, dataset
            )
            prepare_on(
                _seeded(config, options),
                held_out,
                (*prepared_held_out, CLASSIFIER_QUALITY),
                dataset,
            )
            screen.line(classifier_line(config, options.seeds, held_out, dataset, store))
            with screen.bar("held-out clips") as bar:
                measured = measure_all(
                    config,
                    [((row.target,), row.measurement.overrides) for row in rows],
                    options.seeds,
                    held_out,
                    store,
                    trained_on=dataset,
                    gpus=options.gpus_per_worker,
                    progress=bar.update,
                )
            pairs = zip(rows, measured, strict=True)
            rows = [replace(row, held_out=other) for row, other in pairs]

        winner = _best_measurement(trials, metric)
        chosen = with_overrides(config, winner.overrides) if winner else config
        best_file = folder / "best_config.json"
        write_config(best_file, chosen)
        files = [best_file, folder / "trials.csv"]
        if winner:
            best_row = Row(BEST, winner, target=target)
            files += write_labels(folder, "best", best_row, dataset, store)
        markdown = markdown_results(rows, metric, held_out is not None)
        files.append(folder / "table.md")
        write_text(files[-1], markdown)
        record.results(rows, trials, metric, axes, markdown, files)
        screen.show(trial_table(trials, metric))
        screen.show(
            result_table(
                f"{dataset.name}, {len(options.seeds)} seeds, mean ± std; best by {metric}",
                rows,
                metric,
                held_out is not None,
            )
        )
        if winner:
            screen.line(f"best: {setting_text(winner.overrides)}")
        screen.line(
            f"best configuration: {shown_path(best_file)}  (give it back with --config-file)"
        )
        screen.line(f"tables and pictures: {shown_path(folder)}")
        screen.line(f"browse: {record.browse()}")
        screen.line(f"took {time.monotonic() - started:.0f} s")


def _require_success(trials: Sequence[Trial], metric: str, folder: Path) -> None:
    """End a sweep none of whose trials was measured to the end: there is no best among them."""
    if trials and best_of(trials, metric) is None:
        reason = next(trial.error for trial in trials if trial.error)
        raise InputError(
            f"none of {len(trials)} trials succeeded, so there is no best configuration; the first "
            f"failed with: {reason[:300]} (all settings and reasons: "
            f"{shown_path(folder / 'trials.csv')})"
        )


def _prepared_held_out(
    config: Config,
    held_out: Dataset,
    targets: Sequence[str],
    prepare: Sequence[str],
    trained_on: Dataset,
) -> list[str]:
    """What there is to prepare for measuring on other videos: they need no training's labels."""
    steps = make_plan(config, held_out, targets, trained_on).steps
    names = {step.stage for step in steps}
    return [name for name in prepare if name in names]


def _seeded(config: Config, options: SweepOptions) -> list[Config]:
    return [replace(config, seed=seed) for seed in options.seeds]


def _best_measurement(trials: Sequence[Trial], metric: str) -> Measurement | None:
    best = best_of(trials, metric)
    return best.measurement if best else None


def _rows(
    config: Config,
    options: SweepOptions,
    fixed: Mapping[str, Mapping[str, Any]],
    baselines: Sequence[Baseline],
    best: Mapping[str, Measurement],
    trials: Sequence[Trial],
    target: str,
    dataset: Dataset,
    store: Store,
) -> list[Row]:
    """Each row of the result table, measured on the training clips."""
    where = {each.name: each.target for each in baselines}
    rows = [Row(name, each, target=where[name]) for name, each in best.items()]
    settings = dict(fixed)
    winner = _best_measurement(trials, options.metric)
    if winner is None:
        settings["the configuration given"] = {
            name: flatten(config)[name] for name in next(iter(fixed.values()), {})
        }
    measured = measure_all(
        config,
        [((target,), o) for o in settings.values()],
        options.seeds,
        dataset,
        store,
        gpus=options.gpus_per_worker,
    )
    rows += [Row(name, each, target=target) for name, each in zip(settings, measured, strict=True)]
    if winner is not None:
        rows.append(Row(BEST, winner, target=target))
    return rows


def _scores(measurement: Measurement, metric: str) -> str:
    return f"{metric} {score_text(measurement, metric)}"


def _trial_line(trial: Trial, done: int, total: int, metric: str) -> str:
    if trial.measurement is None:
        return (
            f"trial {done}/{total} ({trial.label}) failed: {trial.error}  "
            f"{setting_text(trial.overrides)}"
        )
    measurement = trial.measurement
    what = f" pruned after seed {measurement.seeds[-1]}," if trial.pruned else ""
    return (
        f"trial {done}/{total} ({trial.label}){what} {_scores(measurement, metric)}  "
        f"{setting_text(measurement.overrides)}"
        f"  [reused {', '.join(measurement.reused) or 'nothing'}; "
        f"computed {', '.join(measurement.computed) or 'nothing'}; {trial.seconds:.1f} s]"
    )
