"""A whole ``wsvis run``: data, steps one after the other, outputs, report."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsvis.config import Config, DataConfig
from wsvis.data.atomic import write_bytes, write_text
from wsvis.data.load import load_dataset, resolved
from wsvis.data.validate import check_dataset
from wsvis.errors import InputError
from wsvis.one_machine import check_settings
from wsvis.payload import to_bytes
from wsvis.stage_keys import stage_keys
from wsvis.types import Dataset
from wsvis_platform.cluster import start_ray
from wsvis_platform.config_files import write_config
from wsvis_platform.console import Screen, shown_path
from wsvis_platform.data_commands import show_findings
from wsvis_platform.doctor import preflight
from wsvis_platform.gpus import gpus_here, with_gpus
from wsvis_platform.options import ClipRunOptions
from wsvis_platform.run_outputs import OutputPlan, write_outputs
from wsvis_platform.run_record import record_run
from wsvis_platform.run_report import ReportParts, write_run_report
from wsvis_platform.run_steps import (
    FCAM,
    FLOWIRN,
    LABELS,
    MASKS,
    Step,
    all_targets,
    annotated_part,
    detector_steps,
    measured,
    prefix_of,
    wanted,
)
from wsvis_platform.shown_preparation import Prepare, shown_preparation
from wsvis_platform.store import Store
from wsvis_platform.sweep_data import data_line


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
    """Stage -> what was measured."""

    def do(self, step: Step) -> None:
        """One step: its stages into the store, and numbers where there is something to measure."""
        self.screen.line(f"step {step.name}: {step.title}")
        self.prepare([self.config], self.dataset, step.targets, None)
        self.keys |= stage_keys(self.config, self.dataset, step.targets)
        self.done.append(step)
        numbers = measured(step, self.config, self.annotated, self.store, self.keys)
        self.numbers[step.stage] = numbers
        if numbers:
            self.screen.line(f"{step.title}, against annotated masks: {numbers_line(numbers)}")


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
        check_settings(config, dataset, all_targets(options.stop_after, options.labels))
        _open_folder(out, config)
        screen.log_to(out / "run.log")
        screen.line(command)
        line = data_line(config.data, dataset)
        screen.line(f"{line}; results go to {shown_path(out)}")
        write_text(str(out / "command.txt"), command + "\n")
        write_config(out / "config.json", config)
        store = Store(options.store or out / "store")
        cluster = stack.enter_context(
            start_ray(
                address=options.address or None,
                num_cpus=options.workers or None,
                num_gpus=None if options.address else int(options.gpus),
            )
        )
        options = with_gpus(options, cluster.gpus)
        screen.line(f"{cluster.line()}; {preflight(out)}")
        run = ClipRun(
            config,
            options,
            dataset,
            store,
            screen,
            shown_preparation(options, store, screen),
            annotated_part(dataset),
        )
        do_steps(run)
        _write(run, out, line, preset, command)
        lost = record_run(config, options, preset, dataset, run.done, run.numbers, out)
        if lost:
            screen.warn(lost)
        screen.line(f"took {time.monotonic() - started:.0f} s; open {shown_path(out)}/report.html")


def do_steps(run: ClipRun) -> None:
    """The steps up to ``--stop-after``, the detector on the labels that are fit to learn from."""
    stop = run.options.stop_after
    run.do(MASKS)
    if not wanted("labels", stop):
        return
    labels = FCAM
    if run.options.labels != "fcam":
        run.do(LABELS)
        labels = FLOWIRN
    for step in detector_steps(labels):
        if wanted(step.name, stop):
            run.do(step)


def numbers_line(numbers: dict[str, float | None]) -> str:
    """Measured numbers in points, without the counts."""
    names = {
        "ap50": "AP50",
        "ap25": "AP25",
        "ap75": "AP75",
        "miou": "mIoU",
        "video_ap": "video AP",
        "video_ap50": "video AP50",
    }
    shown = [f"{text} {100 * value:.1f}" for n, text in names.items() if (value := numbers.get(n))]
    return ", ".join(shown) or "nothing matches"


def _check_data(data: DataConfig, screen: Screen) -> None:
    """Say what is in the data set and what is wrong with it; what can go on goes on."""
    findings = check_dataset(resolved(data), decode=False)
    if findings.videos:
        show_findings(screen, findings)
    for problem in findings.problems:
        screen.warn(problem)


def _open_folder(out: Path, config: Config) -> None:
    """Make the folder; one that holds something else, or the run of other data, is refused."""
    known = out / "config.json"
    if known.is_file():
        before = json.loads(known.read_text()).get("data.path")
        if before != config.data.path:
            raise InputError(
                f"--out {out}: holds the run of {before or 'the embedded clips'}; give another "
                "folder, or remove it"
            )
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
    if out.is_dir() and any(path.name != "store" for path in out.iterdir()):
        raise InputError(f"--out {out}: holds other files; give a new folder")
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made ({error.strerror}); give another") from None


def _write(run: ClipRun, out: Path, line: str, preset: str, command: str) -> None:
    """Films, masks and files of the last step, the detector, and the report."""
    last, options, dataset = run.done[-1], run.options, run.dataset
    if last.learnt_from:
        name = f"{prefix_of(last.learnt_from)}detector"
        payload = run.store.read(name, run.keys[name])
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
            tuple(videos),
            aside,
            line,
            preset,
            command,
            options.film,
        ),
    )
