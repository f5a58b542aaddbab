"""``wsvis predict``: masks, tracks and overlay films of one's own videos by a trained detector."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wsvis.errors import InputError
from wsvis_platform.console import Screen

if TYPE_CHECKING:
    from wsvis_platform.predict_video import Clip

DETECTOR_FILE = "detector.safetensors"
"""What ``wsvis run`` calls its detector."""


def predict(
    *,
    videos: tuple[str, ...],
    out: str,
    run: str = "",
    checkpoint: str = "",
    short_side: int = -1,
    frame_step: int = 1,
    keep_readable: bool = False,
    score: float = 0.05,
    detections: int = 100,
    flow: str = "dis-medium",
    flow_weights: str = "",
    method: Literal["forest", "online", "iou"] = "forest",
    max_tracks: int = 20,
    film: Literal["webm", "mp4", "gif", "none"] = "webm",
    drawn_score: float = 0.1,
) -> None:
    """Find and follow objects in video files.

    Writes into a new folder NAME.webm for each video (its frames with the tracks drawn over them;
    NAME-2.webm and so on where several have one name), results.json (all tracks with a mask per
    frame, in YouTube-VIS's results format) and videos.json (which video has which id, which class
    which). A video that cannot be read is named, and the others go on.

    Args:
        videos: files, or folders of them.
        out: the folder to make; there must be nothing in it.
        run: folder of a ``wsvis run`` that has trained a detector.
        checkpoint: instead of it, the file of a detector: OUT/detector.safetensors of a run, or
            OUTPUT/store/objects/detector/KEY/whole.safetensors of an experiment.
        short_side: pixels of the shorter side that the network reads; 0: frames as they are; -1: as
            in its training.
        frame_step: look at every n-th frame.
        keep_readable: of a video that breaks off, take what can be read; else it is left out.
        score: lower-scoring detections are left out (paper: 0.05).
        detections: most per frame.
        flow: how masks are carried to the next frame: a provider (dis-ultrafast, dis-fast,
            dis-medium, farneback, raft-small, raft-large), or none (nothing moves).
        flow_weights: of raft: torchvision's name or a local file; empty: torchvision's best.
        method: of tracking: forest (Forest Path Cutting, the paper's), online or iou.
        max_tracks: keep this many per video; 0 = all.
        film: of each video; browsers play webm and gif, these MP4s not all.
        drawn_score: tracks that score less are not drawn.
    """
    _check(locals())

    from wsvis.data.atomic import write_text
    from wsvis.tracking.results import results_of, write_results
    from wsvis.tracking.track import track_video
    from wsvis_platform.predict_video import (
        film_names,
        find_videos,
        look_at,
        open_clip,
        read_detector,
    )
    from wsvis_platform.track_inputs import flow_provider

    with Screen() as screen:
        paths = find_videos(videos)
        detector = read_detector(_detector_file(run, checkpoint))
        moves = flow != "none" and method != "iou"
        provider = flow_provider(flow, flow_weights) if moves else None
        problems: list[str] = []
        clips: list[Clip] = []
        for path, name in zip(paths, film_names(paths), strict=True):
            try:
                clips.append(open_clip(path, name, frame_step, keep_readable, screen.warn))
            except InputError as error:
                problems.append(str(error))
        if not clips:
            raise InputError(_nothing_worked(problems))
        for problem in problems:
            screen.warn(problem)
        made = _make_folder(out)

        side = detector.short_side if short_side < 0 else short_side
        category_ids = list(range(1, len(detector.class_names) + 1))
        entries: list[dict[str, Any]] = []
        done: list[Clip] = []
        before = count = 0
        try:
            with screen.bar("frames", sum(clip.video.length for clip in clips)) as bar:
                for clip in clips:
                    try:
                        found, backward = look_at(
                            clip,
                            detector,
                            provider,
                            lambda frames, start=before: bar.update(start + frames),
                            short_side=side,
                            score_threshold=score,
                            detections=detections,
                        )
                        tracks = track_video(
                            found, backward, method=method, min_score=score, max_tracks=max_tracks
                        )
                        if film != "none":
                            _draw(clip, tracks, detector.class_names, out, film, drawn_score)
                    except InputError as error:
                        said = str(error)
                        problems.append(said if clip.path in said else f"{clip.path}: {said}")
                        if len(clips) > 1:  # else the error says it
                            screen.warn(problems[-1])
                    else:
                        done.append(clip)
                        entries += results_of(len(done), tracks, category_ids)
                        screen.line(f"{clip.path}: {len(found)} frames, {len(tracks)} tracks")
                    before += clip.video.length
                    bar.update(before)
        finally:  # whatever ended it, what is done is kept
            if done:
                count = write_results(os.path.join(out, "results.json"), entries)
                listed = _listing(done, detector.class_names)
                write_text(os.path.join(out, "videos.json"), json.dumps(listed, indent=1) + "\n")
            elif made:
                with contextlib.suppress(OSError):  # something else is in it
                    os.rmdir(out)
        if not done:
            raise InputError(_nothing_worked(problems))
        left = f"; {len(problems)} of {len(paths)} could not be used" if problems else ""
        screen.line(f"{out}: {count} tracks in {len(done)} videos{left}")


def _detector_file(run: str, checkpoint: str) -> str:
    if bool(run) == bool(checkpoint):
        raise InputError(
            "give either --run, the folder of a wsvis run, or --checkpoint, the file of a detector"
        )
    if checkpoint:
        return checkpoint
    path = os.path.join(run, DETECTOR_FILE)
    if not os.path.isdir(run):
        raise InputError(f"--run {run}: there is no such folder; give the --out of a wsvis run")
    if not os.path.isfile(path):
        raise InputError(
            f"--run {run}: holds no {DETECTOR_FILE}; call its wsvis run again without --stop-after"
        )
    return path


def _draw(
    clip: Clip,
    tracks: Sequence[Any],
    class_names: Sequence[str],
    out: str,
    film: str,
    drawn_score: float,
) -> None:
    from wsvis.data.frames import iterate_frames
    from wsvis.viz.movies import write_film
    from wsvis.viz.track_overlays import track_film

    frames = track_film(iterate_frames(clip.video), tracks, class_names, min_score=drawn_score)
    write_film(Path(out) / f"{clip.video.id}.{film}", frames, fps=clip.fps)


def _listing(clips: Sequence[Clip], class_names: Sequence[str]) -> dict[str, Any]:
    """Videos and categories as a YouTube-VIS JSON has them, with the file instead of its frames."""
    return {
        "videos": [
            {
                "id": number,
                "name": clip.video.id,
                "file": clip.path,
                "height": clip.video.height,
                "width": clip.video.width,
                "length": clip.video.length,
            }
            for number, clip in enumerate(clips, start=1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(class_names, start=1)],
    }


def _nothing_worked(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"none of the {len(problems)} videos can be used; the first: {problems[0]}"


def _make_folder(out: str) -> bool:
    """Whether the folder was not there before."""
    made = not os.path.exists(out)
    if os.path.exists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise InputError(f"{out}: exists already; remove it or choose another name")
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another") from None
    return made


def _check(given: dict[str, Any]) -> None:
    from wsvis.config_checks import check_range

    ranges = {
        "short_side": (-1, 8192),
        "frame_step": (1, 1000),
        "score": (0, 1),
        "detections": (1, 10_000),
        "max_tracks": (0, 1_000_000),
        "drawn_score": (0, 1),
    }
    for name, (low, high) in ranges.items():
        check_range(f"--{name.replace('_', '-')}", given[name], low, high)
