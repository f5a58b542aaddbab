"""wsvis as a library: five functions from clips to masks, tracks, numbers and pictures.

    import wsvis

    clips = wsvis.load_dataset("clips/instances.json")
    results = wsvis.run(wsvis.preset("cpu"), clips, until="masks")
    picture = wsvis.draw(results, clips.videos[0].id, frame=3)
    numbers = wsvis.evaluate(results)      # where the clips have annotated masks

Everything runs in this process and stays in memory, which suits some dozens of short clips. Many
videos, several machines and results that are reused belong to the ``wsvis`` command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import UInt8

from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.errors import InputError
from wsvis.payload import Payload, payload_to_instances
from wsvis.settings import suggestion, with_overrides
from wsvis.types import Dataset, FrameInstances, Report, Track, Video

STAGES: Mapping[str, str] = {
    "masks": "pseudo_masks",
    "labels": "pseudo_labels",
    "detections": "predictions",
    "tracks": "tracks",
}
"""How far a run goes -> the stage of ``wsvis.pipeline`` that gives it."""
_MEASURES: Mapping[str, str] = {
    "masks": "pseudo_mask_quality",
    "labels": "pseudo_label_quality",
    "detections": "prediction_quality",
    "tracks": "track_quality",
}


@dataclass(frozen=True)
class Results:
    """What a run has made of the videos of a data set."""

    config: Config
    dataset: Dataset
    until: str
    payloads: Mapping[str, Payload]
    """Video id -> the stage's result; a video that could not be read has none."""

    def instances(self, video: str) -> list[FrameInstances]:
        """Masks, class numbers and scores of every frame of a video.

        Raises:
            InputError: the run has no such video, or ended in tracks.
        """
        if self.until == "tracks":
            raise InputError("this run ended in tracks; call .tracks(video) for them")
        return payload_to_instances(self._payload(video))

    def tracks(self, video: str) -> list[Track]:
        """The objects of a video, each with a mask or ``None`` per frame.

        Raises:
            InputError: the run has no such video, or did not go as far as tracks.
        """
        from wsvis.tracking.stages import payload_to_tracks

        if self.until != "tracks":
            raise InputError(f"this run ended in {self.until}; give until='tracks' for tracks")
        return payload_to_tracks(self._payload(video))

    def _payload(self, video: str) -> Payload:
        if video not in self.payloads:
            raise InputError(f"no result for video {video!r}; {suggestion(video, self.payloads)}")
        return self.payloads[video]


def load_dataset(path: str = "", **settings: Any) -> Dataset:
    """The videos at a path, or the embedded clips where none is given.

    Args:
        path: a YouTube-VIS JSON, a folder of video files with a labels.csv, or a DAVIS or
            Cityscapes folder; the kind is told from what is there.
        settings: fields of :class:`wsvis.data.config.DataConfig`, such as ``split="all"``.

    Raises:
        InputError: nothing is there, it is of no known kind, or a setting is out of range.
    """
    from wsvis.data.load import load_dataset as load

    return load(DataConfig(path=path, **settings))


def preset(name: str = "cpu", overrides: Mapping[str, Any] | None = None) -> Config:
    """A named configuration, with settings replaced by their dotted names.

    Args:
        name: one of ``wsvis.presets.PRESETS``.
        overrides: for instance ``{"fcam.amplification": 3.0}``.

    Raises:
        InputError: no such preset or setting, or a value out of range.
    """
    from wsvis.presets import PRESETS

    if name not in PRESETS:
        raise InputError(f"no preset is called {name!r}; {suggestion(name, PRESETS)}")
    return with_overrides(PRESETS[name](), overrides or {})


def run(
    config: Config, dataset: Dataset, until: str = "masks", report: Report | None = None
) -> Results:
    """Masks or tracks of a data set, from its class labels per frame.

    Args:
        config: all settings; see :func:`preset`.
        dataset: the videos; their annotated masks are not looked at.
        until: masks (straight from class maps and motion), labels (flowIRN's), detections (of a
            detector that has learnt from them), or tracks of those.
        report: called now and then with what is being trained and how far it is.

    Raises:
        InputError: weights that cannot be read, no video that can be used, or an unknown ``until``.
    """
    from wsvis.one_machine import check_settings, run_pipeline

    if until not in STAGES:
        raise InputError(f"until is {until!r}; {suggestion(until, STAGES)}")
    check_settings(config, dataset, [STAGES[until]])
    payloads = run_pipeline(config, dataset, [STAGES[until]], report)[STAGES[until]]
    assert isinstance(payloads, dict)
    return Results(config, dataset, until, payloads)


class _StoredResults:
    """The results of a run as a measuring stage reads them."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def whole(self, role: str) -> Payload:
        raise KeyError(role)

    def video(self, role: str, video_id: str) -> Payload | None:
        return self.results.payloads.get(video_id)


def evaluate(results: Results) -> dict[str, float | None]:
    """How good the results are, where the data set has annotated masks.

    Returns:
        Average precisions and mean IoU of frames (``ap50``, ``ap25``, ``ap75``, ``miou``), or of
        tracks (``video_ap`` ...); 0 to 1, ``None`` where a number is not defined.

    Raises:
        InputError: the data set has no annotated masks.
    """
    from wsvis.pipeline import BY_NAME

    stage = BY_NAME[_MEASURES[results.until]]
    assert stage.whole is not None
    settings = stage.view(results.config)
    return dict(stage.whole(settings, results.dataset, _StoredResults(results), None).data)


def draw(results: Results, video: str, frame: int = 0) -> UInt8[np.ndarray, "H W 3"]:
    """A frame with its masks, classes and scores drawn over it, RGB.

    Args:
        results: of :func:`run`.
        video: the video's id.
        frame: which of its frames, from 0 on.

    Raises:
        InputError: no such video or frame.
    """
    from wsvis.data.frames import iterate_frames
    from wsvis.viz.overlays import overlay_instances

    source = _video(results.dataset, video)
    if not 0 <= frame < source.length:
        raise InputError(f"{video} has frames 0 to {source.length - 1}, not {frame}")
    picture = next(islice(iterate_frames(source), frame, None))
    if results.until == "tracks":
        tracks = [t for t in results.tracks(video) if t.segmentations[frame] is not None]
        instances = FrameInstances(
            np.array([track.label for track in tracks], dtype=np.int64),
            np.array([track.score for track in tracks], dtype=np.float32),
            tuple(rle for track in tracks if (rle := track.segmentations[frame]) is not None),
        )
        ids = [track.id for track in tracks]
    else:
        instances, ids = results.instances(video)[frame], None
    return overlay_instances(picture, instances, results.dataset.classes, ids=ids)


def _video(dataset: Dataset, name: str) -> Video:
    videos = {video.id: video for video in dataset.videos}
    if name not in videos:
        raise InputError(f"no video is called {name!r}; {suggestion(name, videos)}")
    return videos[name]
