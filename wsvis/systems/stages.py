"""What a trained detector finds in each video, and what can be tried before one is trained."""

from __future__ import annotations

from collections.abc import Mapping

from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.errors import InputError
from wsvis.payload import Payload, instances_to_payload
from wsvis.stage import Process
from wsvis.systems import SYSTEMS
from wsvis.systems.checkpoint import detector_from_payload
from wsvis.systems.networks import initial_network
from wsvis.systems.predict import predict_frames
from wsvis.types import Dataset, Video


def predictions(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """What a detector finds in every frame; no label of the video is looked at."""
    model = detector_from_payload(wholes["system"]).to(default_device())
    chosen = settings.inference

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        detections = predict_frames(
            model,
            list(read_frames(video)),
            short_side=chosen.short_side,
            score_threshold=chosen.score_threshold,
            nms_threshold=chosen.nms_threshold,
            detections=chosen.detections,
        )
        return instances_to_payload(detections)

    return process


def check_initial(config: Config, dataset: Dataset) -> None:
    """Try to build the network, long before its labels are there.

    Raises:
        InputError: as :func:`wsvis.systems.networks.initial_network`, or the classifier has another
            backbone, or there is no clip of as many frames as the system wants.
    """
    system = SYSTEMS[config.system]
    delta, longest = config.pairs.delta, max((v.length for v in dataset.videos), default=0)
    if longest <= delta * (system.clip - 1):
        raise InputError(
            f"{dataset.name}: no video has two frames {delta} apart (the longest has {longest}); "
            "lower pairs.delta"
        )
    system.check(config)
    settings, backbone = config.detector, config.classifier.backbone
    if settings.weights != "classifier":
        initial_network(config, dataset)
    elif settings.backbone != backbone:
        raise InputError(
            f"detector.weights is classifier, whose backbone is {backbone}; set detector.backbone "
            f"to {backbone}, not {settings.backbone}, or name other weights"
        )
