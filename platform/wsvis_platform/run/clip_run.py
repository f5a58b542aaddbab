"""A whole ``wsvis run``: data, steps one after the other, outputs, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wsvis.cam.class_map import class_map
from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset, resolved
from wsvis.data.validate import check_dataset
from wsvis.files.atomic import write_bytes
from wsvis.label_health import LabelHealth, training_warnings
from wsvis.one_machine import check_settings
from wsvis.payload import to_bytes
from wsvis.pipeline import SYSTEM
from wsvis.types import Dataset
from wsvis_platform.cluster.checks import preflight
from wsvis_platform.cluster.gpus import gpus_here, ray_for, with_gpus
from wsvis_platform.console import Screen, shown_path
from wsvis_platform.options import ClipRunOptions
from wsvis_platform.report.findings_table import show_findings
from wsvis_platform.run.folder import open_folder
from wsvis_platform.run.outputs import OutputPlan, write_outputs
from wsvis_platform.run.record import record_run
from wsvis_platform.run.report import ReportParts, write_run_report
from wsvis_platform.run.steps import (
    FCAM,
    FLOWIRN,
    LABELS,
    MASKS,
    Step,
    all_steps,
    annotated_part,
    chosen_labels,
    detector_steps,
    health_of,
    measured,
    numbers_line,
    wanted,
    why_masks,
)
from wsvis_platform.run_lock import only_driver, refuse_second
from wsvis_platform.store.earlier import opened_store
from wsvis_platform.store.store import Store
from wsvis_platform.study.shown_preparation import Prepare, shown_preparation
from wsvis_platform.study.sides import data_line


@dataclass
class ClipRun:
    """A run under way: what it works with, and what it has so far."""

    config: Config
    options: ClipRunOptions
    dataset: Dataset
    store: Store
    screen: Screen
    prepare: Prepare
    annotated: Dataset | None
    done: list[Step] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Step -> what was measured."""
    health: dict[str, LabelHealth] = field(default_factory=dict)
    """Step that makes labels -> what they look like."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was decided on the way: for the report too."""

    def warn(self, text: str) -> None:
        """A warning on the screen and in the report."""
        self.screen.warn(text)
        self.warnings.append(text)

    def note(self, text: str) -> None:
        """A line on the screen and in the report."""
        self.screen.line(text)
        self.notes.append(text)

    def do(self, step: Step) -> None:
        """One step: its stages into the store, and numbers where there is something to measure."""
        self.screen.line(f"step {step.name}: {step.title}")
        settings = [step.settings(self.config)]
        self.prepare(settings, self.dataset, step.targets, None)
        self.keys |= step.plan(self.config, self.dataset).keys()
        if self._reopened(step.targets):
            self.prepare(settings, self.dataset, step.targets, None)
        self.done.append(step)
        if step.name in ("masks", "labels"):
            health = health_of(step, self.dataset, self.store, self.keys[step.stage])
            self.health[step.name] = health
            self.screen.line(health.lines()[0])
            for text in health.warnings:
                self.warn(text)
        key = self.keys[step.stage]
        numbers = measured(step, self.config, self.annotated, self.store, key)
        self.numbers[step.name] = numbers
        if numbers:
            self.screen.line(f"{step.title}, against annotated masks: {numbers_line(numbers)}")

    def _reopened(self, stages: Sequence[str]) -> bool:
        """Whether stored files were damaged: they are let go, to be made again."""
        damaged = False
        for name in stages:
            bad = self.store.corrupt_items(name, self.keys[name])
            if bad:
                self.screen.warn(f"{name}: stored files of {', '.join(bad[:3])} are damaged")
                self.store.reopen(name, self.keys[name], bad)
                damaged = True
        return damaged


def run_clips(config: Config, options: ClipRunOptions, preset: str, command: str) -> None:
    """From a data set to masks, tracks, films and a report in ``options.out``.

    Args:
        config: every setting; ``config.data`` names the data set.
        options: where to write, on which machines, how far to go.
        preset: the preset's name, for the record.
        command: what the user typed, for the record.

    Raises:
        InputError: the data or a setting cannot be used; one line.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(Screen())
        out = Path(options.out)
        _check_data(config.data, screen)
        dataset = load_dataset(config.data)
        if not options.address:
            options = with_gpus(options, gpus_here())
        for step in all_steps(options.stop_after, options.learn_from):
            check_settings(step.settings(config), dataset, step.targets)
        refuse_second(out, "--out")
        open_folder(out, config, command)
        stack.enter_context(only_driver(out, "--out"))
        screen.log_to(out / "run.log")
        screen.line(command)
        line = data_line(config.data, dataset)
        screen.line(f"{line}; results go to {shown_path(out)}")
        store = opened_store(options.store or out / "store", screen.warn)
        cluster, options = stack.enter_context(ray_for(options))
        screen.line(f"{cluster.line()}; {preflight(out)}")
        run = ClipRun(
            config,
            options,
            dataset,
            store,
            screen,
            # trainings come one after the other: each has all cores of a machine
            shown_preparation(options, store, screen, max(cluster.cpus // cluster.nodes, 1)),
            annotated_part(dataset),
        )
        do_steps(run)
        _write(run, out, line, preset, command)
        lost = record_run(
            run.config, options, preset, dataset, run.done, run.numbers, run.health, out
        )
        if lost:
            screen.warn(lost)
        screen.line(f"took {time.monotonic() - started:.0f} s; open {shown_path(out)}/report.html")


def do_steps(run: ClipRun) -> None:
    """The steps up to ``--stop-after``, the detector on the labels that are fit to learn from."""
    stop, choice = run.options.stop_after, run.options.learn_from
    classes = _say_classes(run)
    run.do(MASKS)
    training = run.store.read("classifier", run.keys["classifier"]).data.get("training", {})
    for text in training_warnings(run.dataset, classes, training.get("steps")):
        run.warn(text)
    if not wanted("labels", stop):
        return
    labels, reason = FCAM, ""
    if choice == "auto":
        reason = why_masks(run.config.classifier.head)
    from_masks = choice == "fcam" or bool(reason)
    if not from_masks or stop == "labels":
        run.do(LABELS)
    if not from_masks:
        labels = FLOWIRN
        if choice == "auto":
            labels, reason = chosen_labels(run.health["masks"], run.health["labels"])
    if reason:
        run.note(f"the detector learns from the masks straight from f-CAM: {reason}")
    run.config = replace(run.config, labels=labels)
    for step in detector_steps(labels):
        if wanted(step.name, stop):
            run.do(step)


def _say_classes(run: ClipRun) -> tuple[str, ...]:
    """Say what every class is to ImageNet's head; the classes that the trained head must know."""
    settings = run.config.classifier
    if settings.head != "imagenet":
        return run.dataset.classes
    known = class_map(run.dataset.classes, settings.class_map)
    for text in known.lines():
        run.note(text)
    return known.unknown


def _check_data(data: DataConfig, screen: Screen) -> None:
    """Say what is in the data set and what is wrong with it; what can go on goes on."""
    findings = check_dataset(resolved(data), decode=False)
    if findings.videos:
        show_findings(screen, findings)
    for problem in findings.problems:
        screen.warn(problem)


def _write(run: ClipRun, out: Path, line: str, preset: str, command: str) -> None:
    """Films, masks and files of the last step, the detector, and the report."""
    last, options, dataset = run.done[-1], run.options, run.dataset
    if last.learnt_from:
        payload = run.store.read(SYSTEM, run.keys[SYSTEM])
        write_bytes(out / "detector.safetensors", to_bytes(payload))
    plan = OutputPlan(
        run.config,
        last,
        run.keys,
        str(run.store.root),
        out,
        dataset.classes,
        options.film,
        options.drawn_score,
    )
    with run.screen.bar("films and masks") as bar:
        videos = write_outputs(plan, dataset, bar.update)
    manifest = run.store.manifest(last.stage, run.keys[last.stage])
    aside: dict[str, Any] = dict(manifest.quarantined) if manifest else {}
    run.screen.line(
        f"{sum(len(video.tracks) for video in videos)} tracks in {len(videos)} videos; "
        f"{len(aside)} set aside"
    )
    write_run_report(
        out / "report.html",
        ReportParts(
            run.config,
            dataset,
            run.store,
            run.keys,
            tuple(run.done),
            run.numbers,
            run.health,
            tuple(run.warnings),
            tuple(run.notes),
            tuple(videos),
            aside,
            line,
            preset,
            command,
            options.film,
        ),
    )
