"""``wsvis predict``: masks, tracks and overlay films of one's own videos by a trained detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from wsvis.data.config import DataConfig
from wsvis.errors import InputError
from wsvis.systems.config import InferenceConfig
from wsvis.tracking.config import TrackingConfig
from wsvis_platform.console import Screen

DETECTOR_FILE = "detector.safetensors"
"""What ``wsvis run`` calls its detector."""


def predict(
    *,
    videos: tuple[str, ...],
    out: str,
    run: str = "",
    checkpoint: str = "",
    classes: tuple[str, ...] = (),
    min_score: float = 0.0,
    short_side: int = -1,
    frame_step: int = DataConfig.frame_step,
    keep_readable: bool = DataConfig.keep_readable,
    score: float = InferenceConfig.score_threshold,
    detections: int = InferenceConfig.detections,
    flow: str = "dis-medium",
    flow_weights: str = "",
    method: Literal["forest", "online", "iou"] = TrackingConfig.method,
    max_tracks: int = TrackingConfig.max_tracks,
    film: Literal["webm", "mp4", "gif", "none"] = "webm",
    drawn_score: float = 0.1,
    workers: int = 0,
    gpus: str = "auto",
    gpus_per_worker: float = 1.0,
    address: str = "",
) -> None:
    """Find and follow objects in video files, few or ten thousand.

    Every video gets a folder OUT/videos/NAME with its film, results.json and videos.json; OUT gets
    results.json (all tracks with a mask per frame, in YouTube-VIS's results format), videos.json
    (which video has which id, which class which) and unusable.csv (videos that could not be read,
    and why). The same command goes on where it was stopped, and takes videos that were added.

    Args:
        videos: files, or folders of them.
        out: folder for the results.
        run: folder of a ``wsvis run`` that has trained a detector.
        checkpoint: instead of it, the file of a detector: OUT/detector.safetensors of a run, or
            detectors/ROW_seed0.safetensors beside the tables of an experiment.
        classes: names of the classes to look for; empty: all that the detector knows.
        min_score: tracks that score less are left out.
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
        workers: videos looked at side by side; 0 = one per GPU, or per CPU where there is none.
        gpus: GPUs to use: auto = all there are, or a number; 0 = none.
        gpus_per_worker: GPUs that a worker holds, where GPUs are used; 0.5 lets two share one.
        address: Ray cluster to join; empty: this machine. OUT, the videos and the detector must
            then lie where every node sees them.
    """
    _check(locals())
    if not videos:
        raise InputError("--videos is empty; give a folder or files")
    if not out:
        raise InputError("--out is empty; give the folder that the results go to")

    from wsvis_platform.cluster.gpus import gpus_here, ray_for, with_gpus
    from wsvis_platform.given_paths import absolute_path
    from wsvis_platform.options import MachineOptions
    from wsvis_platform.predict.folder import PredictJob, open_predictions, remove_predictions
    from wsvis_platform.predict.run import assemble_results, list_unusable, predict_videos
    from wsvis_platform.predict.video import film_names, find_videos, read_detector
    from wsvis_platform.run_lock import only_driver, refuse_second
    from wsvis_platform.track.inputs import flow_provider

    machine = MachineOptions(
        workers=workers, gpus=gpus, gpus_per_worker=gpus_per_worker, address=address
    )
    with Screen() as screen:
        paths = find_videos([absolute_path(path, "--videos") for path in videos])
        names = film_names(paths)
        file = absolute_path(_detector_file(run, checkpoint), "--run" if run else "--checkpoint")
        _check_classes(classes, read_detector(file).class_names)
        if flow != "none" and method != "iou":
            flow_provider(flow, flow_weights)  # what is wrong with it is said before any work
        if not address:
            machine = with_gpus(machine, gpus_here())
        if flow_weights and os.path.exists(flow_weights):
            flow_weights = absolute_path(flow_weights, "--flow-weights")
        job = PredictJob(
            file,
            short_side,
            frame_step,
            keep_readable,
            score,
            detections,
            tuple(sorted(set(classes))),
            flow,
            flow_weights,
            method,
            max_tracks,
            min_score,
            drawn_score,
            film,
            absolute_path(out, "--out"),
        )
        refuse_second(Path(job.out), "--out")
        made = open_predictions(job)
        rows: list[dict[str, Any]] = []
        try:
            with (
                only_driver(Path(job.out), "--out"),
                ray_for(machine) as (_, machine),
            ):
                rows = predict_videos(job, paths, names, machine, screen)
                done = sum(row["status"] == "done" for row in rows)
                if done:
                    count = assemble_results(job, rows)
                    list_unusable(job, rows)
        finally:
            nothing = not any(Path(job.out, "videos").glob("*/done.json"))
            if nothing:
                remove_predictions(job, made)
        problems = [row["detail"] for row in rows if row["status"] != "done"]
        if not done:
            raise InputError(_nothing_worked(problems))
        left = f"; {len(problems)} of {len(paths)} could not be used" if problems else ""
        screen.line(f"{out}: {count} tracks in {done} videos{left}")


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


def _check_classes(given: Sequence[str], known: Sequence[str]) -> None:
    from wsvis.settings import suggestion

    for name in given:
        if name not in known:
            raise InputError(
                f"--classes {name}: the detector knows no such class; {suggestion(name, known)}"
            )


def _nothing_worked(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"none of the {len(problems)} videos can be used; the first: {problems[0]}"


def _check(given: dict[str, Any]) -> None:
    from wsvis.settings import check_range

    ranges = {
        "min_score": (0, 1),
        "short_side": (-1, 8192),
        "frame_step": (1, 1000),
        "score": (0, 1),
        "detections": (1, 10_000),
        "max_tracks": (0, 1_000_000),
        "drawn_score": (0, 1),
    }
    for name, (low, high) in ranges.items():
        check_range(f"--{name.replace('_', '-')}", given[name], low, high)
