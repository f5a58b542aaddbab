"""What every experiment does before its own work: data, folder, store, Ray and MLflow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsvis.config import Config
from wsvis.one_machine import check_settings
from wsvis.types import Dataset
from wsvis_platform.cluster.checks import check_output, preflight
from wsvis_platform.cluster.gpus import gpus_here, ray_for, with_gpus
from wsvis_platform.console import Screen, shown_path
from wsvis_platform.options import RunOptions
from wsvis_platform.record.place import check_tracking
from wsvis_platform.run_lock import only_driver, refuse_second
from wsvis_platform.store.earlier import opened_store
from wsvis_platform.store.store import Store
from wsvis_platform.study.record import SweepRecord
from wsvis_platform.study.shown_preparation import Prepare, shown_preparation
from wsvis_platform.study.sides import data_line, load_both, save_held_out


@dataclass(frozen=True)
class OpenRun:
    """An experiment under way."""

    screen: Screen
    dataset: Dataset
    held_out: Dataset | None
    store: Store
    folder: Path
    """Where its tables, files and pictures go."""
    record: SweepRecord
    prepare: Prepare
    gpus: int
    """GPUs that Ray has for it."""


@contextlib.contextmanager
def open_run(
    kind: str,
    name: str,
    config: Config,
    options: RunOptions,
    preset: str,
    targets: Sequence[str],
    beside: Sequence[str] = (),
    arms: Sequence[Config] = (),
) -> Iterator[OpenRun]:
    """Load the data, check what would fail late, start Ray and the MLflow run; end all of it.

    Args:
        kind: folder of such experiments below the output: ``sweeps`` or ``ablations``.
        name: what the experiment is called.
        config: settings it starts from.
        options: where and on which machines.
        preset: the preset's name, for the record.
        targets: quality stages it measures, the one of its pictures first.
        beside: quality stages of its baselines.
        arms: settings of its rows, where they are known: what would fail late is tried for each.
    """
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(Screen())
        if not options.address:
            options = with_gpus(options, gpus_here())
        output = Path(options.output).resolve()  # Ray and MLflow want absolute paths
        title = options.name or f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = output / kind / title
        # before data are read, which may take minutes; nothing is made until they are found good
        check_output(folder)
        refuse_second(folder)
        check_tracking(options.tracking_uri, output)
        dataset, held_out = load_both(config, options, screen)
        for arm in arms or (config,):
            check_settings(arm, dataset, targets, held_out)
        stack.enter_context(only_driver(folder))
        screen.log_to(folder / "run.log")
        store = opened_store(output / "store", screen.warn)
        screen.line(f"{data_line(config.data, dataset)}; results go to {shown_path(folder)}")
        if held_out is not None:
            save_held_out(config, folder)
        cluster, options = stack.enter_context(ray_for(options))
        screen.line(f"{cluster.line()}; {preflight(output)}")
        record = stack.enter_context(
            SweepRecord.open(
                options,
                name,
                title,
                preset,
                config,
                dataset,
                held_out,
                store,
                folder,
                [*targets, *beside],
                screen.warn,
            )
        )
        prepare = shown_preparation(options, store, screen)
        yield OpenRun(screen, dataset, held_out, store, folder, record, prepare, cluster.gpus)
