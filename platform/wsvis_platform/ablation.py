"""An ablation: named variants of one configuration, each over several seeds, in one table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from wsvis.config import Config
from wsvis.config_checks import with_overrides
from wsvis.data.atomic import write_text
from wsvis.types import Dataset
from wsvis_platform.baselines import measure_all
from wsvis_platform.console import shown_path
from wsvis_platform.label_files import write_labels
from wsvis_platform.measure import Measurement
from wsvis_platform.open_run import open_run
from wsvis_platform.options import AblationOptions
from wsvis_platform.sweep_data import describe
from wsvis_platform.tables import Row, latex_table, markdown_table, table_cells, traced_rows

THRESHOLD = "ir_labels.foreground_threshold"


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    overrides: Mapping[str, Any]
    paper: Mapping[str, float] = field(default_factory=dict)
    """Column -> the paper's number in points."""


def ablation_and_report(
    name: str,
    config: Config,
    options: AblationOptions,
    *,
    preset: str,
    title: str,
    variants: Sequence[Variant],
    target: str,
) -> list[Row]:
    """Measure every variant and leave tables, pictures and MLflow runs.

    Args:
        name: what the ablation is called.
        config: settings that the variants change.
        options: seeds, where, on which machines.
        preset: the preset's name, for the record.
        title: of the table.
        variants: the first is what the others are compared with.
        target: quality stage that measures them.
    """
    started = time.monotonic()
    with open_run("ablations", name, config, options, preset, target) as run:
        screen, dataset, held_out, store = run.screen, run.dataset, run.held_out, run.store
        folder, record, prepare_on = run.folder, run.record, run.prepare

        def measured(
            videos: Dataset, settings: Sequence[Mapping[str, Any]], trained_on: Dataset | None
        ) -> list[Measurement]:
            whole = [
                with_overrides(replace(config, seed=seed), overrides)
                for overrides in settings
                for seed in options.seeds
            ]
            prepare_on(whole, videos, [target], trained_on)
            rows = [(target, overrides) for overrides in settings]
            return measure_all(config, rows, options.seeds, videos, store, trained_on=trained_on)

        choices = [
            {**variant.overrides, THRESHOLD: threshold}
            for variant in variants
            for threshold in options.thresholds
        ] or [dict(variant.overrides) for variant in variants]
        found = measured(dataset, choices, None)
        best = _best_of_each(found, len(variants))
        others: Sequence[Measurement | None] = [None] * len(best)
        if held_out is not None:
            others = measured(held_out, [each.overrides for each in best], dataset)

        rows = [
            Row(variant.name, each, other, variant.paper)
            for variant, each, other in zip(variants, best, others, strict=True)
        ]
        caption = _caption(title, dataset, held_out, options)
        files = _write(folder, rows, found, caption)
        if target == "pseudo_label_quality":
            for row in rows:
                name = re.sub(r"\W+", "_", row.name).strip("_")
                files += write_labels(folder, name, row.found, dataset, store)
        record.results(
            [(r.name, target, r.found, r.held_out) for r in rows], [], "", ("", ""), files
        )
        screen.show(_shown_table(caption, rows))
        screen.line(f"tables (Markdown, LaTeX, JSON) and pictures: {shown_path(folder)}")
        screen.line(f"browse: {record.browse()}")
        screen.line(f"took {time.monotonic() - started:.0f} s")
    return rows


def _best_of_each(found: Sequence[Measurement], variants: int) -> list[Measurement]:
    """The best measurement of each variant by mean AP50; NaN is never best."""
    each = len(found) // variants
    groups = [found[i * each : (i + 1) * each] for i in range(variants)]

    def rank(measurement: Measurement) -> float:
        value = measurement.mean("ap50")
        return value if value == value else -1.0

    return [max(group, key=rank) for group in groups]


def _caption(
    title: str, dataset: Dataset, held_out: Dataset | None, options: AblationOptions
) -> str:
    seeds = ", ".join(map(str, options.seeds))
    text = f"{title} {dataset.name}: {describe(dataset)}; seeds {seeds}"
    if len(options.seeds) > 1:
        text += "; mean ± standard deviation; gain and p (paired t-test) against the first row"
    if options.thresholds:
        chosen = ", ".join(f"{t:g}" for t in options.thresholds)
        text += f"; each row at its best foreground threshold of {chosen} on these frames"
    if held_out is not None:
        text += f"; held out: {describe(held_out)}"
    return text + "."


def _write(
    folder: Path, rows: Sequence[Row], found: Sequence[Measurement], caption: str
) -> list[Path]:
    table, latex, trace = (folder / f"table.{kind}" for kind in ("md", "tex", "json"))
    write_text(table, markdown_table(rows, caption))
    write_text(latex, latex_table(rows, caption))
    tried = [{"settings": each.overrides, "per_seed": each.per_seed} for each in found]
    whole = {"caption": caption, "rows": traced_rows(rows), "tried": tried}
    write_text(trace, json.dumps(whole, indent=1) + "\n")
    return [table, latex, trace]


def _shown_table(caption: str, rows: Sequence[Row]) -> Table:
    heads, cells = table_cells(rows)
    table = Table(title=caption, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for line in cells:
        table.add_row(*line)
    return table
