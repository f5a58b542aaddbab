"""Pictures for the report of ``wsvis run``: how masks come about, and every step side by side."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from wsvis.chosen_instances import kept
from wsvis.config import Config
from wsvis.data.frames import iterate_frames
from wsvis.evaluation.frame_ap import as_instances, frame_truths
from wsvis.payload import payload_to_instances
from wsvis.types import Dataset, FrameInstances, Video
from wsvis.viz.method_grid import method_grid
from wsvis_platform.record.pictures import SHOWN_SCORE, chosen_frames, frame_pictures, stacked
from wsvis_platform.run.steps import Step
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs

COLUMNS = 6
"""Frames of a video in a picture."""
JPEG_QUALITY = 85


def strips_picture(
    config: Config, dataset: Dataset, store: Store, keys: Mapping[str, str], masks: str
) -> UInt8[np.ndarray, "H W 3"]:
    """Frame, flow, CAM, f-CAM and mask of a few frames, one of each class."""
    frames = chosen_frames(dataset)
    return stacked(frame_pictures(config, dataset, store, keys, masks, frames))


def steps_picture(
    video: Video,
    dataset: Dataset,
    store: Store,
    keys: Mapping[str, str],
    steps: Sequence[Step],
    unranked: Collection[str] = (),
) -> UInt8[np.ndarray, "H W 3"] | None:
    """Frames spread over a video, a row for each step; ``None`` where no step has a result.

    Masks and labels are drawn whatever they score, detections from :data:`SHOWN_SCORE` on.

    Args:
        video: one of the data set.
        dataset: gives the class names.
        store: where the results are.
        keys: stage -> key.
        steps: of the run.
        unranked: steps whose scores tell nothing: they are not written.
    """
    inputs = StoreInputs.of_keys(store, keys)
    picked = np.unique(np.linspace(0, video.length - 1, COLUMNS).round().astype(int)).tolist()
    rows: dict[str, list[FrameInstances]] = {}
    for step in steps:
        if step.name == "tracks":  # the film shows them
            continue
        payload = inputs.video(step.stage, video.id)
        if payload is not None:
            labels = payload_to_instances(payload)
            rows[step.title] = [_shown(labels[t], step) for t in picked]
    if not rows:
        return None
    chosen = set(picked)
    pictures = [frame for t, frame in enumerate(iterate_frames(video)) if t in chosen]
    truth = None
    if video.instances is not None:
        whole = frame_truths(video)
        truth = [as_instances(whole[t]) for t in picked]
    silent = {step.title for step in steps if step.name in unranked}
    return method_grid(pictures, rows, truth, dataset.classes, min_score=0.0, unscored=silent)


def _shown(labels: FrameInstances, step: Step) -> FrameInstances:
    return kept(labels, SHOWN_SCORE) if step.learnt_from else labels


def data_uri(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    """A picture as text that an HTML file can hold."""
    blue_first = np.ascontiguousarray(picture[..., ::-1])
    ok, coded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise ValueError(f"OpenCV cannot encode a picture of {picture.shape}")
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()
