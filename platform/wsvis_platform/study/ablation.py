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
from wsvis.errors import InputError
from wsvis.evaluation.report import json_ready
from wsvis.files.atomic import write_text
from wsvis.plan import shown_stage
from wsvis.settings import with_overrides
from wsvis.types import Dataset
from wsvis.viz.movies import write_png
from wsvis_platform.cluster.gpus import with_gpus
from wsvis_platform.console import shown_path
from wsvis_platform.options import AblationOptions
from wsvis_platform.record.label_files import write_labels
from wsvis_platform.record.pictures import comparison
from wsvis_platform.report.tables import (
    Columns,
    latex_table,
    markdown_table,
    table_cells,
    uneven,
)
from wsvis_platform.report.trace import traced_rows
from wsvis_platform.results import Measurement, Row
from wsvis_platform.store.store import Store
from wsvis_platform.study.baselines import measure_all
from wsvis_platform.study.session import open_run
from wsvis_platform.study.sides import describe

THRESHOLD = "ir_labels.foreground_threshold"


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    overrides: Mapping[str, Any]
    paper: Mapping[str, float] = field(default_factory=dict)
    """Column -> the paper's number in points."""
    against: str = ""
    """Name of the row that it is compared with; empty: the first."""


def ablation_and_report(
    name: str,
    config: Config,
    options: AblationOptions,
    *,
    preset: str,
    title: str,
    variants: Sequence[Variant],
    targets: Sequence[str],
    tables: Sequence[Columns] = (Columns(),),
) -> list[Row]:
    """Measure every variant and leave tables, pictures and MLflow runs.

    Args:
        name: what the ablation is called.
        config: settings that the variants change.
        options: seeds, where, on which machines.
        preset: the preset's name, for the record.
        title: first words of the caption.
        variants: the first is what the others are compared with, unless they say otherwise.
        targets: quality stages that measure them, the first drawn in pictures.
        tables: what each table shows of the rows.
    """
    started = time.monotonic()
    variants = _chosen_rows(variants, options.rows)
    arms = [with_overrides(config, variant.overrides) for variant in variants]
    with open_run("ablations", name, config, options, preset, targets, arms=arms) as run:
        options = with_gpus(options, run.gpus)
        screen, dataset, held_out, store = run.screen, run.dataset, run.held_out, run.store
        folder, record, prepare_on = run.folder, run.record, run.prepare

        def measured(
            videos: Dataset, rows: Sequence[Mapping[str, Any]], trained_on: Dataset | None
        ) -> list[Measurement]:
            configs = [
                with_overrides(replace(config, seed=seed), overrides)
                for overrides in rows
                for seed in options.seeds
            ]
            prepare_on(configs, videos, targets, trained_on)
            return measure_all(
                config,
                [(targets, overrides) for overrides in rows],
                options.seeds,
                videos,
                store,
                trained_on=trained_on,
                gpus=options.gpus_per_worker,
            )

        thresholds = [{THRESHOLD: threshold} for threshold in options.thresholds] or [{}]
        choices = [
            {**variant.overrides, **threshold} for variant in variants for threshold in thresholds
        ]
        measurements = measured(dataset, choices, None)
        best = _best_of_each(measurements, len(variants))
        others: Sequence[Measurement | None] = [None] * len(best)
        if held_out is not None:
            others = measured(held_out, [each.overrides for each in best], dataset)

        rows = [
            Row(variant.name, each, other, variant.paper, variant.against, targets[0])
            for variant, each, other in zip(variants, best, others, strict=True)
        ]
        for line in uneven(rows):
            screen.warn(line)
        caption = _caption(title, dataset, held_out, options, variants)
        files = _write(folder, rows, measurements, caption, tables)
        markdown = files[0].read_text()
        for row in rows:
            name = re.sub(r"\W+", "_", row.name).strip("_")
            files += write_labels(folder, name, row, dataset, store)
        files += _write_comparison(folder, rows, dataset, held_out, store)
        record.results(
            rows,
            [],
            "ap50",
            ("", ""),
            markdown,
            files,
        )
        for table in tables:
            screen.show(_shown_table(_titled(table, caption), rows, table))
        screen.line(f"tables (Markdown, LaTeX, JSON) and pictures: {shown_path(folder)}")
        screen.line(f"browse: {record.browse()}")
        screen.line(f"took {time.monotonic() - started:.0f} s")
    return rows


def _chosen_rows(variants: Sequence[Variant], rows: Sequence[int]) -> list[Variant]:
    """The variants with these numbers, in the table's order."""
    if not rows:
        return list(variants)
    if max(rows) > len(variants):
        names = ", ".join(f"{n} {variant.name!r}" for n, variant in enumerate(variants, start=1))
        raise InputError(f"--rows {max(rows)}: the table has {names}")
    chosen = [variant for n, variant in enumerate(variants, start=1) if n in rows]
    chosen_names = {variant.name for variant in chosen}
    # what is compared with a row that is not measured is compared with the first that is
    return [v if v.against in chosen_names else replace(v, against="") for v in chosen]


def _best_of_each(measurements: Sequence[Measurement], variants: int) -> list[Measurement]:
    """The best measurement of each variant by mean AP50; NaN is never best."""
    each = len(measurements) // variants
    groups = [measurements[i * each : (i + 1) * each] for i in range(variants)]

    return [max(group, key=lambda measurement: measurement.rank("ap50")) for group in groups]


def _caption(
    title: str,
    dataset: Dataset,
    held_out: Dataset | None,
    options: AblationOptions,
    variants: Sequence[Variant],
) -> str:
    seeds = ", ".join(map(str, options.seeds))
    text = f"{title} {dataset.name}: {describe(dataset)}; seeds {seeds}"
    if len(options.seeds) > 1:
        text += "; mean ± standard deviation; gain and p (paired t-test) against the first row"
        pairs = [f"of {v.name!r} against {v.against!r}" for v in variants if v.against]
        text += "".join(f", {pair}" for pair in pairs)
    if options.thresholds:
        chosen = ", ".join(f"{t:g}" for t in options.thresholds)
        text += f"; each row at its best foreground threshold of {chosen} on these frames"
    if held_out is not None:
        text += f"; held out: {describe(held_out)}"
    return text + "."


def _titled(table: Columns, caption: str) -> str:
    return f"{table.title} {caption}".strip()


def _write(
    folder: Path,
    rows: Sequence[Row],
    measurements: Sequence[Measurement],
    caption: str,
    tables: Sequence[Columns],
) -> list[Path]:
    files: list[Path] = []
    for table in tables:
        files += [folder / f"{table.name}.md", folder / f"{table.name}.tex"]
        titled = _titled(table, caption)
        write_text(files[-2], markdown_table(rows, titled, table))
        write_text(files[-1], latex_table(rows, titled, table))
    trace = folder / "table.json"
    tried = [{"settings": each.overrides, "per_seed": each.per_seed} for each in measurements]
    whole = {"caption": caption, "rows": traced_rows(rows), "tried": tried}
    write_text(trace, json.dumps(json_ready(whole), indent=1, allow_nan=False) + "\n")
    return [*files, trace]


def _write_comparison(
    folder: Path,
    rows: Sequence[Row],
    dataset: Dataset,
    held_out: Dataset | None,
    store: Store,
) -> list[Path]:
    """All rows on the same consecutive frames, held-out ones where there are some; first seed."""
    methods = {}
    for row in rows:
        measurement = row.measurement if held_out is None else row.held_out
        if measurement is not None:
            methods[row.name] = (shown_stage(row.target), measurement.keys[0])
    side = "held-out clips" if held_out else "training clips"
    about = f"seed {rows[0].measurement.seeds[0]}, {side}, "
    picture = comparison(held_out or dataset, store, methods, about=about)
    if picture is None:
        return []
    path = folder / "comparison.png"
    write_png(path, picture)
    return [path]


def _shown_table(caption: str, rows: Sequence[Row], columns: Columns) -> Table:
    heads, cells = table_cells(rows, columns)
    table = Table(title=caption, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for line in cells:
        table.add_row(*line)
    return table
