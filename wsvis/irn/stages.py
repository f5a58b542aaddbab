"""The stages of flowIRN beside its training: its labels, and the pseudo-labels it gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from wsvis.cam.cam import fold_in_place
from wsvis.cam.fcam import fcam, moving_mask, saturate_jointly, upsample_mask
from wsvis.cam.ir_labels import combine_labels, label_map
from wsvis.cam.mask_stages import amplified_maps, frame_maps, magnitude
from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.irn.checkpoint import irn_from_payload
from wsvis.irn.frames import labels_to_payload
from wsvis.irn.labels import refined_ir_labels
from wsvis.irn.network import Irn
from wsvis.irn.predict import pseudo_labels as labels_of_frames
from wsvis.payload import Payload, instances_to_payload
from wsvis.stage import Process
from wsvis.types import Video


def ir_labels(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Where each frame is surely which class, surely background, or unsure: f-CAM, then a CRF."""
    chosen = settings.ir_labels
    thresholds = chosen.foreground_threshold, chosen.background_threshold
    crf = settings.crf

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        classes: list[np.ndarray] = []
        strict = np.zeros((video.length, video.height, video.width), dtype=np.uint8)
        lenient = np.zeros_like(strict)
        for frame in range(video.length):
            maps, labels = amplified_maps(settings, inputs, video, frame)
            strict[frame], lenient[frame] = (label_map(maps, labels, t) for t in thresholds)
            classes.append(labels)
        if not crf.enabled:
            combined = [combine_labels(a, b) for a, b in zip(strict, lenient, strict=True)]
            return labels_to_payload(np.stack(combined) if combined else strict)
        return labels_to_payload(
            refined_ir_labels(
                read_frames(video),
                strict,
                lenient,
                classes,
                device=default_device(),
                certainty=crf.certainty,
                smoothness_sigma=crf.smoothness_sigma,
                smoothness_weight=crf.smoothness_weight,
                appearance_sigma=crf.appearance_sigma,
                colour_sigma=crf.colour_sigma,
                appearance_weight=crf.appearance_weight,
                iterations=crf.iterations,
                stride=crf.stride,
                neighbours=crf.neighbours,
            )
        )

    return process


def pseudo_labels(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Instances of every frame: seeds from f-CAM, walked along the affinities of flowIRN."""
    model = folded(irn_from_payload(wholes["irn"])).to(default_device())
    walk = settings.walk

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        activations: list[np.ndarray] = []
        classes: list[list[int]] = []
        for frame in range(video.length):
            seeds, labels = _seed_maps(settings, inputs, frame)
            activations.append(seeds)
            classes.append(labels.tolist())
        instances = labels_of_frames(
            model,
            read_frames(video),
            activations,
            classes,
            canvas=settings.irn.canvas,
            radius=walk.radius,
            beta=walk.beta,
            walk_steps=walk.steps,
            refinements=walk.refinements,
            cluster_threshold=walk.cluster_threshold,
            background=walk.background_threshold,
            min_area=walk.min_area,
            scores=walk.scores,
        )
        return instances_to_payload(instances)

    return process


def folded(model: Irn) -> Irn:
    """A copy in evaluation mode whose backbone has every BatchNorm folded into its convolution."""
    copied = copy.deepcopy(model).eval()
    fold_in_place(copied.backbone)
    return copied


def _seed_maps(
    settings: Config, inputs: Mapping[str, Payload], frame: int
) -> tuple[np.ndarray, np.ndarray]:
    """f-CAM on the CAM's own grid, in the form ``walk.seeds`` says, and the classes."""
    cam, labels = frame_maps(inputs["cam"], frame)
    seeds = settings.walk.seeds
    if seeds == "cam" or settings.fcam.amplification == 1 or len(cam) == 0:
        return cam, labels
    moving = moving_mask(
        magnitude(inputs["motion"], frame), settings.fcam.percentile, settings.fcam.floor
    )
    maps = fcam(cam, upsample_mask(moving, *cam.shape[1:]), settings.fcam.amplification)
    return (saturate_jointly(maps) if seeds == "saturated" else maps), labels
