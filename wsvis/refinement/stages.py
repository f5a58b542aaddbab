"""The stages that refine the masks of another stage."""

from __future__ import annotations

from collections.abc import Mapping

from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.payload import Payload, instances_to_payload, payload_to_instances
from wsvis.refinement.config import CrfConfig
from wsvis.refinement.mask_crf import refine_masks
from wsvis.refinement.motion_split import fields_of_frames, split_instances
from wsvis.stage import Process
from wsvis.types import Video

WIDEST_STRIDE = 16


def refined(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """The instances of the role ``labels`` cut by motion, then after the CRF on masks.

    Each is as it is where its switch is off.
    """
    split, chosen = settings.motion_split, settings.mask_crf

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        instances = payload_to_instances(inputs["labels"])
        if split.enabled:
            fields = fields_of_frames(inputs["flow"], video)
            instances = [
                split_instances(
                    frame,
                    field,
                    ratio=split.ratio,
                    floor=split.floor,
                    share=split.share,
                    better=split.better,
                    depth=split.depth,
                )
                for frame, field in zip(instances, fields, strict=True)
            ]
        if chosen.enabled:
            instances = refine_masks(
                read_frames(video),
                instances,
                min_area=chosen.min_area,
                device=default_device(),
                **crf_kernels(settings.crf, max(video.height, video.width), chosen.long_side),
            )
        return instances_to_payload(instances)

    return process


def crf_kernels(crf: CrfConfig, side: int, long_side: int) -> dict[str, float]:
    """Parameters of :func:`wsvis.refinement.crf.dense_crf` for frames of a size.

    Args:
        crf: sigmas and stride in pixels.
        side: longer side of the frames.
        long_side: side that the sigmas are meant for; larger frames get larger kernels and a
            coarser grid. 0 = sigmas as they are.
    """
    scale = max(1.0, side / long_side) if long_side else 1.0
    return {
        "certainty": crf.certainty,
        "smoothness_sigma": crf.smoothness_sigma * scale,
        "smoothness_weight": crf.smoothness_weight,
        "appearance_sigma": crf.appearance_sigma * scale,
        "colour_sigma": crf.colour_sigma,
        "appearance_weight": crf.appearance_weight,
        "iterations": crf.iterations,
        "stride": min(round(crf.stride * scale), WIDEST_STRIDE),
        "neighbours": crf.neighbours,
    }
