"""The measuring stage: how good are instance pseudo-labels on the frames they were made for?"""

from __future__ import annotations

import math
from collections.abc import Callable

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.evaluation.frame_ap import FrameTruth, frame_ap, frame_truths, instances_per_frame
from wsvis.evaluation.semantic_iou import semantic_map, semantic_miou, truth_map
from wsvis.payload import Payload, payload_to_instances
from wsvis.stage import Inputs
from wsvis.types import Dataset, FrameInstances, Report


def quality_of(stage: str) -> Callable[[Config, Dataset, Inputs, Report | None], Payload]:
    """The whole-data-set stage that scores the instances of ``stage`` against the ground truth.

    As Table 4 of the paper measures pseudo-labels: AP at mask IoU 0.5 over all labelled frames
    (COCO protocol), beside it AP at 0.25 and the mean IoU of the merged masks. A metric that is
    undefined is stored as null.
    """

    def run(config: Config, dataset: Dataset, inputs: Inputs, report: Report | None) -> Payload:
        truths: list[FrameTruth] = []
        found: list[FrameInstances] = []
        sizes: list[tuple[int, int]] = []
        videos = 0
        for video in dataset.videos:
            payload = inputs.video(stage, video.id)
            if payload is None:
                continue
            if video.instances is None:
                raise InputError(
                    f"{dataset.name}: video {video.id} has no annotated masks to measure against"
                )
            videos += 1
            truths += frame_truths(video)
            found += payload_to_instances(payload)
            sizes += [(video.height, video.width)] * video.length
        maps = (  # painted one frame at a time: all of them would fill the memory
            (truth_map(real, *size), semantic_map(mine, *size))
            for real, mine, size in zip(truths, found, sizes, strict=True)
        )
        ap = frame_ap(truths, found, len(dataset.classes))
        miou = semantic_miou(maps, len(dataset.classes))["mIoU"]
        numbers = {
            "ap50": ap["AP50"],
            "ap25": ap["AP25"],
            "miou": miou,
            "instances_per_frame": instances_per_frame(found),
        }
        data = {name: _plain(value) for name, value in numbers.items()}
        return Payload(data={**data, "frames": len(truths), "videos": videos})

    return run


def _plain(value: object) -> float | None:
    number = float(value)  # pyright: ignore[reportArgumentType]
    return None if math.isnan(number) else number
