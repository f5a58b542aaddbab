"""Tracks as a stage: perfect detections give perfect tracks, and stored tracks come back."""

import numpy as np
import pytest

from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.evaluation.stages import consistency, quality, track_quality
from wsvis.flow.stages import decoded_flow, flow, step_flow
from wsvis.payload import Payload, from_bytes, instances_to_payload, to_bytes
from wsvis.settings import with_overrides
from wsvis.systems.labels import truth_labels
from wsvis.tracking.stages import payload_to_tracks, tracks, tracks_to_payload
from wsvis.types import FrameInstances, Track

CONFIG = with_overrides(Config(), {"data.synthetic_videos": 3, "flow.provider": "dis-ultrafast"})


@pytest.fixture(scope="module")
def data():
    return load_dataset(CONFIG.data)


@pytest.fixture(scope="module")
def moving(data):
    """Video id -> flow."""
    process = flow(CONFIG, {})
    return {video.id: process(video, {}) for video in data.videos}


@pytest.fixture(scope="module")
def perfect(data):
    """Video id -> the annotated masks as detections."""
    process = truth_labels(CONFIG, {})
    return {video.id: process(video, {}) for video in data.videos}


class Stored:
    def __init__(self, **stages):
        self.stages = stages

    def video(self, stage, name):
        return self.stages[stage].get(name)

    def whole(self, stage):
        raise KeyError(stage)


def test_true_masks_are_followed_and_measured(data, moving, perfect):
    process = tracks(CONFIG, {})
    followed = {
        video.id: process(video, {"predictions": perfect[video.id], "step_flow": moving[video.id]})
        for video in data.videos
    }
    found = track_quality(CONFIG, data, Stored(tracks=followed), None).data
    assert found["video_ap50"] > 0.9
    assert found["video_ap"] <= found["video_ap50"]
    assert found["videos"] == 3
    blind = {name: instances_to_payload([FrameInstances(*_none())] * 11) for name in perfect}
    process = tracks(CONFIG, {})
    nothing = {
        video.id: process(video, {"predictions": blind[video.id], "step_flow": moving[video.id]})
        for video in data.videos
    }
    found = track_quality(CONFIG, data, Stored(tracks=nothing), None).data
    assert (found["video_ap"], found["video_ar10"]) == (0.0, 0.0)


def _none():
    return np.zeros(0, np.int64), np.zeros(0, np.float32), ()


def test_settings_reach_the_tracker(data, moving, perfect):
    one = with_overrides(CONFIG, {"tracking.max_tracks": 1})
    none = with_overrides(CONFIG, {"tracking.min_score": 1.0})
    video = max(data.videos, key=lambda v: len(v.instances))
    inputs = {"predictions": perfect[video.id], "step_flow": moving[video.id]}
    every = payload_to_tracks(tracks(CONFIG, {})(video, inputs))
    assert len(every) > 1
    assert len(payload_to_tracks(tracks(one, {})(video, inputs))) == 1
    # true masks score 1, which is at least 1
    assert len(payload_to_tracks(tracks(none, {})(video, inputs))) == len(every)


def test_true_masks_are_stable_and_measured_as_perfect_frames(data, moving, perfect):
    inputs = Stored(masks=perfect, step_flow=moving)
    found = consistency(CONFIG, data, inputs, None).data
    assert found["tc"] > 0.95
    assert found["pairs"] == 30
    frames = quality(CONFIG, data, inputs, None).data
    assert frames["ap50"] == frames["ap75"] == pytest.approx(1)
    absent = Stored(masks={k: perfect[k] for k in list(perfect)[:2]}, step_flow=moving)
    assert consistency(CONFIG, data, absent, None).data["videos"] == 2


def test_tracks_survive_the_store(data, perfect):
    mask = payload_masks(perfect[data.videos[0].id])[0]
    found = [
        Track(0, 3, 0.75, (mask, None), (0.8, None)),
        Track(1, 0, 0.1, (None, mask), (None, 0.2)),
    ]
    assert payload_to_tracks(from_bytes(to_bytes(tracks_to_payload(found)))) == found
    assert payload_to_tracks(from_bytes(to_bytes(tracks_to_payload([])))) == []


def payload_masks(payload):
    return payload.data["masks"]


def test_flow_between_listed_frames_is_taken_over_or_computed(data, moving):
    video = data.videos[0]
    process = step_flow(CONFIG, {})
    assert process(video, {"flow": moving[video.id]}) is moving[video.id]
    # flow to a raw frame in between is something else: computed anew
    other = Payload(moving[video.id].arrays, {**moving[video.id].data, "chained": False})
    again = process(video, {"flow": other})
    assert again.data["chained"]
    assert again.data["gap"] == 1
    for mine, theirs in zip(decoded_flow(again), decoded_flow(moving[video.id]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
