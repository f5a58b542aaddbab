"""``OUT/report.html`` of ``wsvis run``: one file that opens from disk, films beside it."""

from __future__ import annotations

import html
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from wsvis import __version__
from wsvis.config import Config
from wsvis.config_checks import flatten
from wsvis.data.atomic import write_text
from wsvis.exports.tracked_video import TrackedVideo
from wsvis.types import Dataset
from wsvis_platform.run_pictures import data_uri, steps_picture, strips_picture
from wsvis_platform.run_steps import Step
from wsvis_platform.store import Store

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
    """Stage -> what was measured; empty where there are no annotated masks."""
    videos: tuple[TrackedVideo, ...]
    aside: Mapping[str, str]
    """Video -> why it was set aside."""
    data_line: str
    preset: str
    command: str
    film: str


def write_run_report(path: Path, parts: ReportParts) -> None:
    """Write the report, whole or not at all."""
    text = _PAGE.substitute(
        title=html.escape(parts.dataset.name),
        data=html.escape(parts.data_line),
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


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; the first column is text, the others numbers."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _steps_table(parts: ReportParts) -> str:
    shown = [n for n in COLUMNS if any(n in parts.numbers.get(s.stage, {}) for s in parts.steps)]
    rows = []
    for step in parts.steps:
        numbers = parts.numbers.get(step.stage, {})
        rows.append([step.title, *(_cell(n, numbers.get(n), n in numbers) for n in shown)])
    text = table(["step", *(COLUMNS[n][0] for n in shown)], rows)
    if not shown:
        return text + "<p>There are no annotated masks to measure against.</p>"
    return text + (
        "<p>Measured against the annotated masks, in points; labels and masks on the very frames "
        "that they were made for.</p>"
    )


def _cell(name: str, value: float | None, measured: bool) -> str:
    if value is None:
        return "none" if measured else ""
    _, factor, digits = COLUMNS[name]
    return f"{factor * value:.{digits}f}"


def _aside(aside: Mapping[str, str]) -> str:
    if not aside:
        return ""
    rows = [[name, reason] for name, reason in sorted(aside.items())]
    return "<h2>Set aside</h2>" + table(["video", "reason"], rows)


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
    cells = []
    for tracked in shown:
        picture = steps_picture(
            by_id[tracked.name], parts.dataset, parts.store, parts.keys, parts.steps
        )
        if picture is not None:
            cells.append(f"<h3>{html.escape(tracked.name)}</h3>{_picture(data_uri(picture))}")
    if len(parts.videos) > len(shown):
        cells.append(f"<p>and {len(parts.videos) - len(shown)} more videos</p>")
    return "".join(cells)


def _picture(uri: str) -> str:
    return f'<div class="wide"><img src="{uri}" alt=""></div>'


def _settings(config: Config) -> str:
    return table(["setting", "value"], [[name, str(v)] for name, v in flatten(config).items()])


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wsvis run: $title</title>
<style>
:root { color-scheme: light dark; --ink: #1d2125; --paper: #fff; --line: #d5d9de; --soft: #f3f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe3e8; --paper: #16191d; --line: #3a4048; --soft: #22272d; }
}
body { color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  margin: 0 auto; padding: 1rem; max-width: 90rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
p { max-width: 50rem; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: 4px; }
.wide { overflow-x: auto; }
.wide img { display: block; width: 100%; min-width: 56rem; }
.films { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
figure { margin: 0; } figure video, figure img { width: 100%; background: #000; }
figcaption { font-size: .9rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: right;
  vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
th { background: var(--soft); }
.warning { border-left: 4px solid #d98e04; padding: .3rem .8rem; background: var(--soft); }
</style>
</head>
<body>
<h1>$title</h1>
<p>$data</p>
<h2>Steps</h2>
$steps
$aside
<h2>Films</h2>
$films
<h2>How masks come about</h2>
<p>A frame of each class: optical flow, class activation map (CAM), the same amplified where
something moves (f-CAM), and the mask made of it.</p>
$strips
<h2>Every step, video by video</h2>
$videos
<h2>Files</h2>
<p>Beside this file: <code>films/</code>, <code>masks/VIDEO/00000.png</code> (DAVIS: pixel values
are track numbers), <code>results.json</code> (YouTube-VIS results; <code>videos.json</code> says
what its ids mean), <code>coco.json</code>, <code>detector.safetensors</code> where one was trained,
<code>run.log</code>.</p>
<h2>Command</h2>
<pre>$command</pre>
<p>wsvis $version, preset $preset</p>
<details><summary>All settings</summary>
$settings
</details>
</body>
</html>
""")
