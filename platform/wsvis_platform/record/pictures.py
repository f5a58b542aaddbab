"""Strips of pictures for a setting: the same frames for every trial, drawn from stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from wsvis.cam.fcam import frame_fcam, upsample_maps
from wsvis.cam.mask_stages import frame_maps
from wsvis.chosen_instances import kept, none_found
from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.evaluation.frame_ap import as_instances, frame_truths
from wsvis.flow.field import frame_flow
from wsvis.flow.stages import decoded_flow
from wsvis.payload import payload_to_instances
from wsvis.plan import make_plan
from wsvis.types import Dataset, Video
from wsvis.viz.method_grid import method_grid
from wsvis.viz.overlays import overlay_instances
from wsvis.viz.strips import cam_strip, matched_ids, stack_strips
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs

SHOWN_SCORE = 0.3
"""Detections that score less would only clutter a picture."""


def chosen_frames(dataset: Dataset, count: int = 4) -> list[tuple[int, int]]:
    """(video, frame) pairs, the same for a data set every time, spread over its classes.

    Videos are walked in an order that always brings a class not shown yet; of each the frame with
    most classes nearest its middle is taken.
    """
    shown: set[int] = set()
    picked: list[tuple[int, int]] = []
    rest = list(range(len(dataset.videos)))
    while rest and len(picked) < count:
        fresh = [i for i in rest if set(sum(dataset.videos[i].labels, ())) - shown]
        video = (fresh or rest)[0]
        rest.remove(video)
        labels = dataset.videos[video].labels
        middle = len(labels) // 2
        frame = max(range(len(labels)), key=lambda t: (len(labels[t]) > 0, -abs(t - middle)))
        shown.update(labels[frame])
        picked.append((video, frame))
    return picked


@dataclass(frozen=True)
class FramePictures:
    """What a setting leaves on one frame, as pictures."""

    caption: str
    """Which video and frame."""
    strip: UInt8[np.ndarray, "H W 3"]
    """Frame, flow, CAM, f-CAM, pseudo-mask and ground truth."""
    detected: UInt8[np.ndarray, "h w 3"]
    """The masks alone, over the frame."""


def frame_pictures(
    config: Config,
    dataset: Dataset,
    store: Store,
    keys: Mapping[str, str],
    masks: str,
    frames: Sequence[tuple[int, int]],
) -> list[FramePictures]:
    """Pictures of each chosen frame, drawn from stored results.

    Args:
        config: the setting's whole configuration.
        dataset: the videos.
        store: where the setting's results are.
        keys: stage -> key of its results.
        masks: the stage whose instances are shown.
        frames: from :func:`chosen_frames`.
    """
    inputs = StoreInputs.of_keys(store, keys)
    drawn = (
        _drawn(config, dataset, dataset.videos[index], frame, inputs, masks)
        for index, frame in frames
    )
    return [each for each in drawn if each is not None]


def stacked(pictures: Sequence[FramePictures], title: str = "") -> UInt8[np.ndarray, "H W 3"]:
    """The strips one below the other, each under its video and frame; blank where there is none."""
    if not pictures:
        return np.full((40, 400, 3), 255, np.uint8)
    return stack_strips([each.strip for each in pictures], title, [p.caption for p in pictures])


def _drawn(
    config: Config, dataset: Dataset, video: Video, frame: int, inputs: StoreInputs, masks: str
) -> FramePictures | None:
    labelled = inputs.video(masks, video.id)
    if labelled is None:
        return None
    labelled = payload_to_instances(labelled)[frame]
    detections = None
    if masks == "predictions":  # what the detector has learnt from is drawn too
        detections = kept(labelled, SHOWN_SCORE)
        learnt = inputs.video(config.labels, video.id) if config.labels in inputs.inputs else None
        labelled = payload_to_instances(learnt)[frame] if learnt else none_found()
    unused = unused_panels(config, dataset, masks)
    picture, flow = _frame_and_flow(video, frame, inputs)
    cam = np.zeros((0, video.height, video.width), np.float32)
    amplified = cam
    if "CAM" not in unused and (payload := inputs.video("cam", video.id)) is not None:
        maps, _ = frame_maps(payload, frame)
        cam = upsample_maps(maps, video.height, video.width)
        amplified = np.zeros_like(cam)
        motion = None if "f-CAM" in unused else inputs.video("motion", video.id)
        if motion is not None:
            amplified = frame_fcam(
                maps,
                motion.arrays["magnitude"][frame].astype(np.float32),
                video.height,
                video.width,
                config.fcam.amplification,
                config.fcam.percentile,
                config.fcam.floor,
            )
    truth = None
    if video.instances is not None:
        truth = as_instances(frame_truths(video)[frame])
    strip = cam_strip(
        picture,
        flow,
        cam,
        amplified,
        labelled,
        truth,
        dataset.classes,
        threshold=config.ir_labels.foreground_threshold,
        detections=detections,
        unused=unused,
    )
    shown = labelled if detections is None else detections
    ids = matched_ids(shown, truth or none_found())
    overlay = overlay_instances(picture, shown, dataset.classes, ids=ids)
    return FramePictures(f"{video.id}, frame {frame}", strip, overlay)


def unused_panels(config: Config, dataset: Dataset, masks: str) -> set[str]:
    """Captions of the panels that are no input of a stage's masks under these settings."""
    stages = {step.stage for step in make_plan(config, dataset, [masks]).steps}
    unused = set() if "cam" in stages else {"CAM"}
    amplifies = {"cam", "motion"} <= stages and config.fcam.amplification > 1
    if not amplifies:
        unused.add("f-CAM")
    by_flow = (
        amplifies,
        masks == "motion_masks",
        "irn" in stages and config.flow_boundary.weight > 0,
        "pair_flow" in stages and config.maskconsist.enabled,
    )
    if not any(by_flow):
        unused.add("flow")
    return unused


def _frame_and_flow(
    video: Video, frame: int, inputs: StoreInputs
) -> tuple[np.ndarray, np.ndarray | None]:
    picture = _frame(video, frame)
    # where nothing else uses flow, that between the frames of a detector's pairs is what there is
    stage = next((name for name in ("flow", "pair_flow") if name in inputs.inputs), "")
    payload = inputs.video(stage, video.id) if stage else None
    if payload is None:
        return picture, None
    forward, backward = decoded_flow(payload)
    chained = payload.data["chained"]
    return picture, frame_flow(forward, backward, video.length, chained)[frame]


def comparison(
    dataset: Dataset,
    store: Store,
    methods: Mapping[str, tuple[str, Mapping[str, str]]],
    *,
    about: str = "",
    videos: int = 2,
    frames: int = 6,
) -> np.ndarray | None:
    """Consecutive frames of a few clips, a row for each method; ``None``: nothing to show.

    Args:
        dataset: the clips; those with most objects are shown.
        store: where the results are.
        methods: name -> the stage whose instances are shown, and stage -> key of its results.
        about: first words of each title, for instance the seed.
        videos: how many clips.
        frames: of each, from its middle.
    """
    order = sorted(dataset.videos, key=lambda v: -len(v.instances or ()))  # stable: always the same
    grids = []
    for video in order[:videos]:
        payloads = {
            name: StoreInputs.of_keys(store, keys).video(stage, video.id)
            for name, (stage, keys) in methods.items()
        }
        begin = max((video.length - frames) // 2, 0)
        part = slice(begin, begin + frames)
        truth = None
        if video.instances is not None:
            truth = [as_instances(real) for real in frame_truths(video)[part]]
        rows = {
            name: payload_to_instances(payload)[part]
            for name, payload in payloads.items()
            if payload is not None
        }
        if rows:
            pictures = list(read_frames(video)[part])
            shown = (
                f"{about}{video.id}, frames {begin} to {begin + len(pictures) - 1}, "
                f"detections that score {SHOWN_SCORE:g} or more"
            )
            grids.append(
                method_grid(
                    pictures, rows, truth, dataset.classes, title=shown, min_score=SHOWN_SCORE
                )
            )
    return stack_strips(grids) if grids else None


_FRAMES: dict[tuple[str, int], np.ndarray] = {}


def _frame(video: Video, frame: int) -> np.ndarray:
    # the same few frames are drawn for every trial: decode their videos once
    if (video.id, frame) not in _FRAMES:
        _FRAMES[video.id, frame] = read_frames(video)[frame]
    return _FRAMES[video.id, frame]
