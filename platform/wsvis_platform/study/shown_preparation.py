"""Preparing stages before the eyes of a user: bars while it runs, a line for each stage done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wsvis.config import Config
from wsvis.types import Dataset
from wsvis_platform.console import Screen
from wsvis_platform.options import MachineOptions
from wsvis_platform.store.materialise import Outcome
from wsvis_platform.store.store import Store
from wsvis_platform.study.prepare import prepare

Prepare = Callable[[Sequence[Config], Dataset, Sequence[str], Dataset | None], None]
"""Settings, videos, targets, and the videos that networks were trained on if they are others."""


def shown_preparation(
    options: MachineOptions, store: Store, screen: Screen, training_cpus: int = 1
) -> Prepare:
    """:func:`wsvis_platform.study.prepare.prepare` with everything a user sees of it."""

    def run(
        configs: Sequence[Config],
        dataset: Dataset,
        targets: Sequence[str],
        trained_on: Dataset | None,
    ) -> None:
        with screen.bars() as bars:
            warned: set[str] = set()
            stage: list[Outcome] = []
            since = ended = time.monotonic()

            def flush() -> None:
                nonlocal since
                if stage:
                    screen.line(outcomes_line(stage, ended - since))
                    stage.clear()
                    since = ended

            def on_outcome(outcome: Outcome) -> None:
                nonlocal ended
                bars.finish(outcome.stage)
                if stage and stage[0].stage != outcome.stage:
                    flush()
                stage.append(outcome)
                ended = time.monotonic()
                manifest = store.manifest(outcome.stage, outcome.key)
                for video, reason in sorted(manifest.quarantined.items() if manifest else ()):
                    if reason not in warned:  # later stages repeat the first one's reason
                        warned.add(reason)
                        screen.warn(f"set aside {video}: {reason}")

            def training(rows: Mapping[str, Mapping[str, float]]) -> None:
                for name, numbers in rows.items():
                    if numbers.get("step") == numbers.get("steps"):
                        bars.finish(name)
                        continue
                    note = f"loss {numbers['loss']:.3f}" if "loss" in numbers else ""
                    total = int(numbers.get("steps", 0))
                    bars.update(name, int(numbers.get("step", 0)), total, note)

            prepare(
                configs,
                dataset,
                store,
                targets,
                workers=options.workers,
                gpus_per_worker=options.gpus_per_worker,
                train_workers=options.train_workers,
                training_cpus=training_cpus,
                trained_on=trained_on,
                progress=lambda stage, done, total: bars.update(stage, done, total),
                on_outcome=on_outcome,
                training=training,
            )
            flush()

    return run


def outcomes_line(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What became of one stage over all settings; one line however many they are."""
    if len(outcomes) == 1:
        return replace(outcomes[0], seconds=seconds).line()
    counts = Counter(outcome.status for outcome in outcomes)
    what = ", ".join(f"{status} {count}" for status, count in counts.items())
    aside = len({o.key for o in outcomes if o.quarantined})
    bad = f", {aside} with videos set aside" if aside else ""
    return f"{outcomes[0].stage}: {what} of {len(outcomes)} results{bad} {seconds:.1f} s"
