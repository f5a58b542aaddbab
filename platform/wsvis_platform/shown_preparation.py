"""Preparing stages before the eyes of a user: bars while it runs, a line for each stage done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wsvis.config import Config
from wsvis.types import Dataset
from wsvis_platform.console import Screen
from wsvis_platform.materialise import Outcome
from wsvis_platform.options import RunOptions
from wsvis_platform.prepare import prepare
from wsvis_platform.store import Store

Prepare = Callable[[Sequence[Config], Dataset, Sequence[str], Dataset | None], None]
"""Settings, videos, targets, and the videos that networks were trained on if they are others."""


def shown_preparation(options: RunOptions, store: Store, screen: Screen) -> Prepare:
    """:func:`wsvis_platform.prepare.prepare` with everything a user sees of it."""

    def run(
        configs: Sequence[Config],
        dataset: Dataset,
        targets: Sequence[str],
        trained_on: Dataset | None,
    ) -> None:
        with screen.bars() as bars:
            warned: set[str] = set()

            def told(outcome: Outcome) -> None:
                bars.finish(outcome.stage)
                screen.line(outcome.line())
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
                trained_on=trained_on,
                progress=lambda stage, done, total: bars.update(stage, done, total),
                told=told,
                training=training,
            )

    return run
