"""Trackers on real clips with several objects (absent data: skipped)."""

import os
from pathlib import Path

import numpy as np
import pytest

from wsvis.data.config import DataConfig
from wsvis.data.frames import read_frames
from wsvis.data.load import load_dataset
from wsvis.evaluation.report import video_numbers
from wsvis.evaluation.tracks import tracks_of_video
from wsvis.evaluation.video_ap import video_ap
from wsvis.flow.provider import make_flow_provider, prepare_frames
from wsvis.tracking.track import track_video
from wsvis.types import FrameInstances

SHARED = Path(os.environ.get("WSVIS_SHARED", Path(__file__).parents[4] / "shared"))
LISTED = SHARED / "data" / "davis-composite" / "instances.json"


def ground_truth_as_detections(video):
    frames = []
    for t in range(video.length):
        there = [(i.label, i.segmentations[t]) for i in video.instances if i.segmentations[t]]
        frames.append(
            FrameInstances(
                np.array([label for label, _ in there], np.int64),
                np.full(len(there), 0.9, np.float32),
                tuple(mask for _, mask in there),
            )
        )
    return frames


@pytest.mark.slow
@pytest.mark.skipif(not LISTED.exists(), reason="data absent")
@pytest.mark.parametrize(("method", "least"), [("forest", 1.0), ("online", 0.98)])
def test_true_masks_are_put_together_again(method, least):
    dataset = load_dataset(DataConfig(kind="ytvis", path=str(LISTED), split="all"))
    provider = make_flow_provider("dis-medium")
    videos = []
    for number, video in enumerate(dataset.videos):
        seen = prepare_frames(read_frames(video), provider.gray)
        backward = list(provider.flow(seen[1:], seen[:-1]))
        tracks = track_video(ground_truth_as_detections(video), backward, method=method)
        videos.append(tracks_of_video(number, video, tracks))
    assert len(videos) == 24
    # Measured: 1.000 (forest) and 0.990 (online).
    assert video_numbers(video_ap(videos, len(dataset.classes)))["AP"] >= least - 1e-9
