"""Pictures of results: contact sheets and films of videos, curves and bars of the measure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
from wsvis.evaluation.report import video_numbers, video_numbers_by_class
from wsvis.evaluation.tracks import VideoTracks
from wsvis.evaluation.video_ap import AREA_RANGES, VideoAp, video_ap
from wsvis.files.atomic import new_file
from wsvis.formats.vis_truth import VisTruth
from wsvis.types import Instance, Track
from wsvis.viz.metric_charts import class_bars, pr_curves
from wsvis.viz.movies import write_film, write_png
from wsvis.viz.track_overlays import contact_sheet, track_film
from wsvis.viz.worst_videos import video_fit, worst_first
from wsvis_platform.track.inputs import video_images


def measured(
    sources: Mapping[int, partial[VideoTracks]], classes: int, progress: Callable[[int], None]
) -> tuple[VideoAp | None, list[tuple[int, float]]]:
    """The measure over all videos, and (video id, fit) with the worst first.

    ``None``, and the order of the file, where no video has any annotation.
    """
    fits: dict[int, float] = {}
    annotated = False

    def watched() -> Iterator[VideoTracks]:
        nonlocal annotated
        for source in sources.values():
            video = source()
            annotated = annotated or bool(video.truth)
            fits[video.id] = video_fit(video)
            progress(len(fits))
            yield video

    result = video_ap(watched(), classes)
    if not annotated:
        return None, [(number, float("nan")) for number in fits]
    return result, [(number, fits[number]) for number in worst_first(fits)]


def draw_charts(folder: Path, result: VideoAp, classes: tuple[str, ...]) -> None:
    """``pr_curves.png`` and ``classes.png``."""
    numbers = video_numbers(result)
    title = ", ".join(f"{name} {100 * numbers[name]:.1f}" for name in ("AP", "AP50", "AP75"))
    every = list(AREA_RANGES).index("all")
    curves = pr_curves(result.precision[every], COCO_THRESHOLDS, classes, title=title)
    bars = class_bars(video_numbers_by_class(result, classes), title=title)
    for name, figure in (("pr_curves.png", curves), ("classes.png", bars)):
        with new_file(folder / name) as written:
            figure.savefig(written, dpi=120)


def draw_video(
    folder: Path,
    rank: int,
    fit: float,
    truth: VisTruth,
    video: VideoTracks,
    frames: Path,
    *,
    film: str,
    fps: float,
    min_score: float,
) -> None:
    """Sheet and film of one video, named by its rank."""
    entry = truth.videos[video.id]
    images = video_images(truth, entry, frames)
    ranked = sorted(video.predicted, key=lambda one: -one.score)
    tracks = [
        Track(n, one.label, one.score, tuple(one.segmentations), (None,) * video.length)
        for n, one in enumerate(ranked)
        if one.score >= min_score
    ]
    objects = [
        Instance(n, one.label, tuple(one.segmentations), one.crowd)
        for n, one in enumerate(video.truth)
    ]
    measured_here = fit == fit  # NaN: there is nothing to compare with
    title = f"video {video.id} ({entry.name})" + (f", fit {fit:.2f}" if measured_here else "")
    name = f"{rank:02d}_{re.sub(r'[^A-Za-z0-9_-]', '_', entry.name)}"
    sheet = contact_sheet(
        images, tracks, truth.classes, truth=objects if measured_here else None, title=title
    )
    write_png(folder / f"{name}.png", sheet)
    if film != "none":
        write_film(folder / f"{name}.{film}", track_film(images, tracks, truth.classes), fps=fps)
