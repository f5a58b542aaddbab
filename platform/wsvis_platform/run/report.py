"""``OUT/report.html`` of ``wsvis run``: one file that opens from disk, films beside it."""

from __future__ import annotations

import html
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsvis import __version__
from wsvis.config import Config
from wsvis.exports.tracked_video import TrackedVideo
from wsvis.files.atomic import write_text
from wsvis.label_health import WHOLE_FRAME, LabelHealth
from wsvis.settings import flatten
from wsvis.types import Dataset
from wsvis_platform.run.page import PAGE
from wsvis_platform.run.pictures import data_uri, steps_picture, strips_picture
from wsvis_platform.run.steps import Step
from wsvis_platform.store.store import Store

MOST_VIDEOS = 24
"""Videos with pictures of every step in the report; films are there for all."""

COLUMNS = {
    "instances_per_frame": ("instances per frame", 1.0, 2),
    "ap50": ("AP50", 100.0, 1),
    "ap25": ("AP25", 100.0, 1),
    "ap75": ("AP75", 100.0, 1),
    "miou": ("mIoU", 100.0, 1),
    "video_ap": ("video AP", 100.0, 1),
    "video_ap50": ("video AP50", 100.0, 1),
}
"""Measured numbers: heading, factor, digits."""


@dataclass(frozen=True)
class ReportParts:
    """What a report is written from."""

    config: Config
    dataset: Dataset
    store: Store
    keys: Mapping[str, str]
    steps: tuple[Step, ...]
    numbers: Mapping[str, Mapping[str, float | None]]
    """Step -> what was measured; empty where there are no annotated masks."""
    health: Mapping[str, LabelHealth]
    """Stage of labels -> what they look like."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    videos: tuple[TrackedVideo, ...]
    aside: Mapping[str, str]
    """Video -> why it was set aside."""
    data_line: str
    preset: str
    command: str
    film: str


def write_run_report(path: Path, parts: ReportParts) -> None:
    """Write the report, whole or not at all."""
    text = PAGE.substitute(
        title=html.escape(parts.dataset.name),
        data=html.escape(parts.data_line),
        warnings=_paragraphs(parts.warnings),
        notes=_list(parts.notes),
        health=_health_table(parts),
        steps=_steps_table(parts),
        aside=_aside(parts.aside),
        films=_films(parts),
        strips=_strips(parts),
        videos=_videos(parts),
        command=html.escape(parts.command),
        preset=html.escape(parts.preset),
        version=html.escape(__version__),
        settings=_settings(parts.config),
    )
    write_text(str(path), text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "numbers") -> str:
    """An HTML table; the first column is text, the others numbers, or text too (kind ``words``)."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table class="{kind}"><tr>{head}</tr>{body}</table></div>'


def _steps_table(parts: ReportParts) -> str:
    shown = [n for n in COLUMNS if any(n in parts.numbers.get(s.name, {}) for s in parts.steps)]
    rows = []
    for step in parts.steps:
        numbers = parts.numbers.get(step.name, {})
        rows.append([step.title, *(_cell(n, numbers.get(n), n in numbers) for n in shown)])
    text = table(["step", *(COLUMNS[n][0] for n in shown)], rows)
    if not shown:
        return "<p>There are no annotated masks to measure against.</p>"
    return text + (
        "<p>Measured against the annotated masks, in points; labels and masks on the very frames "
        "that they were made for.</p>"
    )


def _health_table(parts: ReportParts) -> str:
    heads = [
        "labels",
        "per frame",
        "median area",
        f"cover over {WHOLE_FRAME:.0%}",
        "frames without one",
    ]
    rows = []
    for step in parts.steps:
        label_health = parts.health.get(step.name)
        if label_health is not None:
            whole = label_health.whole_frame / label_health.labels if label_health.labels else 0.0
            rows.append(
                [
                    step.title,
                    f"{label_health.labels_per_frame:.2f}",
                    f"{label_health.median_area:.1%}",
                    f"{whole:.1%}",
                    f"{label_health.empty_frames} of {label_health.frames}",
                ]
            )
    return table(heads, rows)


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f'<p class="warning">{html.escape(line)}</p>' for line in lines)


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _cell(name: str, value: float | None, measured: bool) -> str:
    if value is None:
        return "none" if measured else ""
    _, factor, digits = COLUMNS[name]
    return f"{factor * value:.{digits}f}"


def _aside(aside: Mapping[str, str]) -> str:
    if not aside:
        return ""
    rows = [[name, reason] for name, reason in sorted(aside.items())]
    return "<h2>Set aside</h2>" + table(["video", "reason"], rows, "words")


def _films(parts: ReportParts) -> str:
    if parts.film == "none":
        return "<p>No films were asked for.</p>"
    cells = []
    for video in parts.videos:
        place = urllib.parse.quote(f"films/{video.name}.{parts.film}")
        if parts.film == "gif":
            film = f'<img src="{place}" alt="" loading="lazy">'
        else:
            film = (
                f'<video src="{place}" controls loop muted playsinline preload="metadata"></video>'
            )
        count = len(video.tracks)
        about = f"{html.escape(video.name)}: {count} track{'' if count == 1 else 's'}"
        cells.append(f"<figure>{film}<figcaption>{about}</figcaption></figure>")
    return f'<div class="films">{"".join(cells)}</div>'


def _strips(parts: ReportParts) -> str:
    picture = strips_picture(
        parts.config, parts.dataset, parts.store, parts.keys, parts.steps[0].stage
    )
    return _picture(data_uri(picture))


def _videos(parts: ReportParts) -> str:
    by_id = {video.id: video for video in parts.dataset.videos}
    shown = parts.videos[:MOST_VIDEOS]
    unranked = {name for name, label_health in parts.health.items() if not label_health.scores_rank}
    cells = []
    for tracked in shown:
        picture = steps_picture(
            by_id[tracked.name], parts.dataset, parts.store, parts.keys, parts.steps, unranked
        )
        if picture is not None:
            cells.append(f"<h3>{html.escape(tracked.name)}</h3>{_picture(data_uri(picture))}")
    if len(parts.videos) > len(shown):
        cells.append(f"<p>and {len(parts.videos) - len(shown)} more videos</p>")
    return "".join(cells)


def _picture(uri: str) -> str:
    return f'<div class="wide"><img src="{uri}" alt=""></div>'


def _settings(config: Config) -> str:
    rows = [[name, str(value)] for name, value in flatten(config).items()]
    return table(["setting", "value"], rows, "words")
