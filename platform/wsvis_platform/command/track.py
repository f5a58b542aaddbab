"""``wsvis track``: frame predictions to tracks; and pictures of results beside the ground truth.

Predictions are a JSON list of ``{video_id, frame, category_id, score, segmentation}``, frames
counted from 0, segmentations as RLE (compressed or not) or polygons: the format that ``wsvis
evaluate frames`` reads. Tracks are written in YouTube-VIS's results format, one entry per track.
Which videos there are, and how large and long, says any YouTube-VIS JSON; its annotations are not
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from wsvis.tracking.config import TrackingConfig
from wsvis_platform.console import Screen


def track(
    *,
    predictions: str,
    videos: str,
    out: str,
    flow: str = "dis-medium",
    flow_weights: str = "",
    frames: str = "",
    method: Literal["forest", "online", "iou"] = TrackingConfig.method,
    class_mode: Literal["vote", "split", "per-class"] = TrackingConfig.class_mode,
    scoring: Literal["sum", "mean"] = TrackingConfig.scoring,
    min_score: float = TrackingConfig.min_score,
    max_tracks: int = TrackingConfig.max_tracks,
    max_overlap: float = TrackingConfig.max_overlap,
    min_link_overlap: float = TrackingConfig.min_link_overlap,
    online_overlap: Literal["box", "mask"] = "box",
    online_min_overlap: float = 0.0,
    iou_min_overlap: float = 0.5,
    reid: str = "",
    reid_weights: str = "IMAGENET1K_V1",
    reid_normalisation: Literal["imagenet", "half"] = "imagenet",
    reid_padding: Literal["symmetric", "same"] = "symmetric",
    reid_crop: int = 224,
) -> None:
    """Join the predictions of single frames into tracks.

    Args:
        predictions: JSON list of {video_id, frame, category_id, score, segmentation}.
        videos: YouTube-VIS JSON that lists the videos and categories.
        out: the results JSON to write, in YouTube-VIS's format.
        flow: how masks are carried to the next frame: a provider that computes it from the frames
            (dis-ultrafast, dis-fast, dis-medium, farneback, raft-small, raft-large), a folder with
            a file of stored flow per video (ID.safetensors), or none (nothing moves).
        flow_weights: of raft: torchvision's name or a local file; empty: torchvision's best.
        frames: folder of the frames that the JSON names; empty: JPEGImages beside it.
        method: forest (Forest Path Cutting, the paper's), online (MaskTrack R-CNN's association
            without its learned term) or iou (box overlap alone).
        class_mode: vote: track regardless of class, then take the class with the largest sum of
            scores; split: one track for each class that occurs in it; per-class: track each class
            for itself.
        scoring: a track's score. sum: of its class's frame scores, over the video's length; mean:
            of all its frame scores.
        min_score: lower-scoring predictions do not enter (paper: 0.05).
        max_tracks: keep this many per video (per class with per-class); 0 = all.
        max_overlap: forest: of two predictions of a frame with this mask IoU, the better one stays.
        min_link_overlap: forest: IoU that a carried mask must exceed to be linked.
        online_overlap: online: IoU of boxes or of masks.
        online_min_overlap: online: overlap that a prediction must exceed to join an object.
        iou_min_overlap: iou: least overlap for a track to go on.
        reid: forest: backbone that recognises an object after a gap (small, resnet18, resnet50,
            mobilenet_v2); empty: place and size stand in.
        reid_weights: torchvision's name or a local file.
        reid_normalisation: of the pixels, as those weights expect.
        reid_padding: of strided convolutions, as those weights expect (same: TensorFlow).
        reid_crop: side of the squares that boxes are resized to, in pixels.
    """
    from wsvis.formats.frame_results import found_frames, open_frame_results
    from wsvis.formats.track_results import results_of, write_results
    from wsvis.formats.vis_truth import open_truth
    from wsvis.tracking.track import track_video
    from wsvis_platform.track.inputs import flow_source, reid_source, video_images

    _check_track_options(locals())
    with Screen() as screen:
        listed = open_truth(Path(videos), need_annotations=False)
        places = open_frame_results(Path(predictions), listed)
        folder = Path(frames) if frames else Path(videos).parent / "JPEGImages"
        backward, needs_frames = flow_source("none" if method == "iou" else flow, flow_weights)
        look = None
        if reid and method == "forest":
            look = reid_source(reid, reid_weights, reid_padding, reid_normalisation, reid_crop)
        category_ids = sorted(listed.labels, key=listed.labels.__getitem__)
        entries = []
        with screen.bar("tracking videos", len(listed.videos)) as bar:
            for done, video in enumerate(listed.videos.values(), start=1):
                detections = found_frames(listed, Path(predictions), video, places)
                if any(map(len, detections)):
                    read_frames = needs_frames or look is not None
                    images = video_images(listed, video, folder) if read_frames else []
                    tracks = track_video(
                        detections,
                        backward(video, images),
                        look(images, detections) if look else None,
                        method=method,
                        class_mode=class_mode,
                        scoring=scoring,
                        min_score=min_score,
                        max_overlap=max_overlap,
                        min_link_overlap=min_link_overlap,
                        online_overlap=online_overlap,
                        online_min_overlap=online_min_overlap,
                        iou_min_overlap=iou_min_overlap,
                        max_tracks=max_tracks,
                    )
                    entries += results_of(video.id, tracks, category_ids)
                bar.update(done)
        count = write_results(out, entries)
        screen.line(f"{out}: {count} tracks in {len(listed.videos)} videos")


def draw_results(
    *,
    gt: str,
    results: str,
    out: str,
    frames: str = "",
    videos: int = 10,
    film: Literal["webm", "mp4", "gif", "none"] = "webm",
    fps: float = 6.0,
    min_score: float = 0.1,
) -> None:
    """Draw what was found: the videos that fit the ground truth least first, curves and bars.

    Writes a new folder with 01_NAME.png (a contact sheet, ground truth above tracks) and
    01_NAME.webm for each video drawn, pr_curves.png and classes.png. Without annotations in the
    ground truth the first videos of the file are drawn, and no curves.

    Args:
        gt: YouTube-VIS JSON of the videos.
        results: list of tracks, YouTube-VIS results JSON.
        out: the folder to make; there must be nothing at its place.
        frames: folder of the frames that the JSON names; empty: JPEGImages beside it.
        videos: how many to draw.
        film: beside the sheets; browsers play webm and gif, these MP4s not all.
        fps: frames per second of the films.
        min_score: tracks that score less are not drawn.
    """
    from wsvis.files.atomic import new_folder
    from wsvis.formats.vis_results import open_results
    from wsvis.formats.vis_truth import open_truth
    from wsvis.settings import check_range
    from wsvis_platform.track.pictures import draw_charts, draw_video, measured

    check_range("--videos", videos, 0, 1_000_000)
    check_range("--fps", fps, 0.1, 100)
    with Screen() as screen:
        truth = open_truth(Path(gt), need_annotations=False)
        folder = Path(frames) if frames else Path(gt).parent / "JPEGImages"
        sources = dict(zip(truth.videos, open_results(Path(results), truth), strict=True))
        with new_folder(out) as part:
            with screen.bar("measuring videos", len(sources)) as bar:
                result, order = measured(sources, len(truth.classes), bar.update)
            if result is not None:
                draw_charts(Path(part), result, truth.classes)
            with screen.bar("drawing videos", min(videos, len(order))) as bar:
                for rank, (number, fit) in enumerate(order[:videos], start=1):
                    loaded = sources[number]()
                    draw_video(
                        Path(part), rank, fit, truth, loaded, folder,
                        film=film, fps=fps, min_score=min_score,
                    )  # fmt: skip
                    bar.update(rank)
        drawn = "worst first" if result is not None else "in the order of the file"
        screen.line(f"{out}: {min(videos, len(order))} of {len(order)} videos, {drawn}")


def _check_track_options(given: Mapping[str, Any]) -> None:
    from wsvis.settings import check_range

    ranges = {
        "min_score": (0, 1),
        "online_min_overlap": (0, 1),
        "iou_min_overlap": (0, 1),
        "min_link_overlap": (0, 1),
        "max_overlap": (0, 2),
        "max_tracks": (0, 1_000_000),
        "reid_crop": (16, 4096),
    }
    for name, (low, high) in ranges.items():
        check_range(f"--{name.replace('_', '-')}", given[name], low, high)
