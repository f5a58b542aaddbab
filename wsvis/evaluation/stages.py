"""The measuring stages: instances of frames, tracks, and stability from one frame to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.evaluation.frame_ap import FrameTruth, frame_ap, frame_truths, instances_per_frame
from wsvis.evaluation.report import video_numbers
from wsvis.evaluation.semantic_iou import semantic_map, semantic_miou, truth_map
from wsvis.evaluation.tracks import VideoTracks, tracks_of_video
from wsvis.evaluation.video_ap import video_ap
from wsvis.payload import Payload, payload_to_instances
from wsvis.stage import Inputs
from wsvis.types import Dataset, FrameInstances, Report, Video


def quality(settings: Config, dataset: Dataset, inputs: Inputs, report: Report | None) -> Payload:
    """How good the instances of the role ``masks`` are against the ground truth.

    As the paper measures frames (Tables 1, 4, 5, 6): AP at mask IoU 0.5 over all labelled frames
    (COCO protocol), beside it AP at 0.25 and 0.75 and the mean IoU of the merged masks. A metric
    that is undefined is stored as null.
    """
    truths: list[FrameTruth] = []
    detections: list[FrameInstances] = []
    sizes: list[tuple[int, int]] = []
    videos = 0
    need_truth(dataset)
    for video in dataset.videos:
        payload = inputs.video("masks", video.id)
        if payload is None:
            continue
        videos += 1
        truths += frame_truths(video)
        detections += payload_to_instances(payload)
        sizes += [(video.height, video.width)] * video.length
    maps = (  # painted one frame at a time: all of them would fill the memory
        (truth_map(real, *size), semantic_map(predicted, *size))
        for real, predicted, size in zip(truths, detections, sizes, strict=True)
    )
    ap = frame_ap(truths, detections, len(dataset.classes), (0.25, 0.5, 0.75))
    miou = semantic_miou(maps, len(dataset.classes))["mIoU"]
    numbers = {
        "ap50": ap["AP50"],
        "ap25": ap["AP25"],
        "ap75": ap["AP75"],
        "miou": miou,
        "instances_per_frame": instances_per_frame(detections),
    }
    data = {name: _plain(value) for name, value in numbers.items()}
    return Payload(data={**data, "frames": len(truths), "videos": videos})


def track_quality(
    settings: Config, dataset: Dataset, inputs: Inputs, report: Report | None
) -> Payload:
    """How good tracks are: Table 3's five numbers.

    Liu et al. 2021, Sec. 4.4: mAP, AP50, AP75, AR1 and AR10 of the YouTube-VIS tool.
    """
    # here: whoever only measures frames need not load the trackers
    from wsvis.tracking.stages import payload_to_tracks

    def load(number: int, video: Video, payload: Payload) -> VideoTracks:
        return tracks_of_video(number, video, payload_to_tracks(payload))

    def videos() -> Iterator[Callable[[], VideoTracks]]:
        for number, video in enumerate(dataset.videos):
            payload = inputs.video("tracks", video.id)
            if payload is not None:
                yield partial(load, number, video, payload)

    need_truth(dataset)
    result = video_ap(videos(), len(dataset.classes))
    numbers = video_numbers(result)
    names = {
        "video_ap": "AP",
        "video_ap50": "AP50",
        "video_ap75": "AP75",
        "video_ar1": "AR1",
        "video_ar10": "AR10",
    }
    data = {name: _plain(numbers[name_in_report]) for name, name_in_report in names.items()}
    return Payload(data={**data, "videos": result.videos})


def consistency(
    settings: Config, dataset: Dataset, inputs: Inputs, report: Report | None
) -> Payload:
    """Temporal consistency (TC) of the instances of the role ``masks`` (Table 6)."""
    from wsvis.evaluation.temporal_consistency import PredictedVideo, temporal_consistency
    from wsvis.flow.field import regrid_flow
    from wsvis.flow.stages import decoded_flow

    videos = 0

    def predicted() -> Iterator[PredictedVideo]:
        nonlocal videos
        for video in dataset.videos:
            payload = inputs.video("masks", video.id)
            flow = inputs.video("step_flow", video.id)
            if payload is None or flow is None:
                continue
            videos += 1
            forward, backward = (
                np.stack([regrid_flow(f, video.height, video.width) for f in fields])
                if len(fields)
                else np.zeros((0, video.height, video.width, 2), np.float32)
                for fields in decoded_flow(flow)
            )
            yield PredictedVideo(payload_to_instances(payload), forward, backward)

    result = temporal_consistency(
        predicted(),
        len(dataset.classes),
        truth_score=settings.consistency.truth_score,
        symmetric=settings.consistency.symmetric,
    )
    return Payload(
        data={"tc": _plain(result["TC"]), "pairs": int(result["pairs"]), "videos": videos}
    )


def need_truth(dataset: Dataset) -> None:
    """An ``InputError`` where a video has no annotated masks to measure against."""
    for video in dataset.videos:
        if video.instances is None and not video.problem:  # else it will be set aside
            raise InputError(
                f"{dataset.name}: video {video.id} has no annotated masks to measure against"
            )


def _plain(value: object) -> float | None:
    number = float(value)  # pyright: ignore[reportArgumentType]
    return None if math.isnan(number) else number
