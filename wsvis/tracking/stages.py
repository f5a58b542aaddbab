"""The stage that joins frame predictions to tracks, and its stored form.

T frames of a video, N tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wsvis.config import Config
from wsvis.flow.field import regrid_flow
from wsvis.flow.stages import decoded_flow
from wsvis.payload import Payload, payload_to_instances
from wsvis.stage import Process
from wsvis.tracking.track import track_video
from wsvis.types import Track, Video


def tracks(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """A stage: the tracks of a video from its detections and the flow between its listed frames.

    Liu et al. 2021, Sec. 4.4: Forest Path Cutting on frame predictions. It is silent on what an
    object is recognised by after a gap: its place and size here.
    """
    chosen = settings.tracking

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        _, backward = decoded_flow(inputs["step_flow"])
        return tracks_to_payload(
            track_video(
                payload_to_instances(inputs["predictions"]),
                [regrid_flow(field, video.height, video.width) for field in backward],
                method=chosen.method,
                class_mode=chosen.class_mode,
                scoring=chosen.scoring,
                min_score=chosen.min_score,
                max_tracks=chosen.max_tracks,
                max_overlap=chosen.max_overlap,
                min_link_overlap=chosen.min_link_overlap,
            )
        )

    return process


def tracks_to_payload(tracks: Sequence[Track]) -> Payload:
    """Tracks of one video, ready to be stored; masks as RLE in the plain data."""
    return Payload(
        arrays={
            "labels": np.array([track.label for track in tracks], dtype=np.int64),
            "scores": np.array([track.score for track in tracks], dtype=np.float64),
        },
        data={
            "segmentations": [list(track.segmentations) for track in tracks],
            "frame_scores": [list(track.frame_scores) for track in tracks],
        },
    )


def payload_to_tracks(payload: Payload) -> list[Track]:
    """The inverse of :func:`tracks_to_payload`."""
    parts = zip(
        payload.arrays["labels"].tolist(),
        payload.arrays["scores"].tolist(),
        payload.data["segmentations"],
        payload.data["frame_scores"],
        strict=True,
    )
    return [
        Track(number, label, score, tuple(masks), tuple(scores))
        for number, (label, score, masks, scores) in enumerate(parts)
    ]
