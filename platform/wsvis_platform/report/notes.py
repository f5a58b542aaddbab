"""How runs are called and described in MLflow: short names, Markdown with numbers and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from wsvis.evaluation.metrics import SHOWN, heading
from wsvis_platform.report.sweep_tables import SHORT, setting_text
from wsvis_platform.results import Measurement, Row, score_text

BRIEF = {
    **SHORT,
    "ir_labels.foreground_threshold": "thr",
    "maskconsist.iom_threshold": "IoM",
    "maskconsist.box_iou_threshold": "IoU",
}
"""Settings in a run's name; of others the last part of their dotted name."""

_MOST_SEEDS, _LONGEST_TABLE = 20, 6000
"""Of a description: MLflow takes 8000 characters."""


def trial_name(label: str, overrides: Mapping[str, Any], *, pruned: bool = False) -> str:
    """A trial as a list of runs shows it: ``07 A 1.59 T .80 thr .21``."""
    parts = [
        f"{BRIEF.get(name, name.rpartition('.')[2].replace('_', ' '))} {_brief(value)}"
        for name, value in overrides.items()
    ]
    return " ".join([label, *(["pruned"] if pruned else []), *parts])


def _brief(value: Any) -> str:
    """Two decimals without the leading zero; two digits of what is smaller than .1."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def row_note(
    run: str, scored: Measurement, other: Measurement | None, detector: str, pruned: bool
) -> str:
    """Describes a trial or a row: mean and deviation, seed by seed, its strip.

    Args:
        run: id of the run in MLflow, whose picture is shown.
        scored: on the clips of the training.
        other: on held-out clips.
        detector: file of the trained detector below the sweep's folder, or empty.
        pruned: whether the search stopped it before its last seed.
    """
    sides = {"training clips": scored, **({"held-out clips": other} if other else {})}
    heads = ["", *(heading(metric) for metric in SHOWN)]
    rows = [[side, *(score_text(each, metric) for metric in SHOWN)] for side, each in sides.items()]
    lines = [f"Pruned after seed {scored.seeds[-1]}: no rival to whole trials."] if pruned else []
    if len(scored.seeds) > 1:
        rows += [
            [f"training clips, seed {seed}", *(_points(scores, metric) for metric in SHOWN)]
            for seed, scores in list(zip(scored.seeds, scored.per_seed, strict=True))[:_MOST_SEEDS]
        ]
    lines.append(markdown_rows(heads, rows))
    if detector:
        lines.append(f"Detector: `{detector}` (`wsvis predict --checkpoint`)")
    return "\n\n".join([*lines, picture(run, "pictures/strip.jpg")])


def sweep_note(run: str, best: Row, table: str, pictures: Sequence[str]) -> str:
    """Describes a sweep or an ablation: its best row, its table, its pictures.

    Args:
        run: id of the run in MLflow, whose pictures are shown.
        best: the best row.
        table: Markdown.
        pictures: artifacts of the run.
    """
    name, scored = best.name, best.measurement
    setting = f", {setting_text(scored.overrides)}" if scored.overrides else ""
    shown = [picture(run, path) for path in pictures]
    # a text that is too long for MLflow would lose its end
    whole = table if len(table) <= _LONGEST_TABLE else f"{table[:_LONGEST_TABLE]} ..."
    return "\n\n".join([f"Best: **{name}**{setting}", whole, *shown])


def markdown_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(run: str, path: str) -> str:
    """A run's artifact as a picture in a description."""
    return f"![{path}]({artifact(run, path)})"


def artifact(run: str, path: str) -> str:
    """Where MLflow's server gives out a run's artifact, as its pages name it."""
    return f"get-artifact?{urlencode({'path': path, 'run_uuid': run})}"


def _points(scores: Mapping[str, float], metric: str) -> str:
    value = scores.get(metric)
    return "n/a" if value is None or value != value else f"{100 * value:.1f}"
