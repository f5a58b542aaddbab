"""The detector's stages: which pairs are read, which switches count, and a whole small run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference.clips_on_disk import HEIGHT, WIDTH, rectangle, write_frames
from science.irn.test_irn_stages import TINY
from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.errors import InputError
from wsvis.flow.codec import encode_flow
from wsvis.flow.stages import decoded_flow, flow, pair_flow
from wsvis.instances import from_masks
from wsvis.learning.share import Share
from wsvis.one_machine import check_settings, run_pipeline
from wsvis.payload import Payload, from_bytes, instances_to_payload, payload_to_instances, to_bytes
from wsvis.settings import with_overrides
from wsvis.systems.mask_rcnn.learner import refiner
from wsvis.systems.stages import check_initial, predictions
from wsvis.systems.stored_clips import StoredClips
from wsvis.systems.train import train, trained_short_side, training_clips
from wsvis.types import Dataset, FrameFiles, FrameInstances, Video

SMALL = with_overrides(
    TINY,
    {
        "detector.backbone": "small",
        "detector.weights": "standin",
        "detector.frozen_stages": 0,
        "detector.steps": 4,
        "detector.optimiser": "adamw",
        "detector.learning_rate": 1e-3,
        "detector.schedule": "cosine",
        "detector.short_sides": (0, 0),
        "inference.short_side": 0,
        "inference.score_threshold": 0.0,
        "inference.detections": 5,
    },
)


def instances(*scores):
    masks = tuple(rectangle(2, 3 + n, 9, 12 + n) for n in range(len(scores)))
    return FrameInstances(
        np.arange(len(scores)),
        np.array(scores, np.float32),
        masks,  # pyright: ignore
    )


def constant_flow(values, height=HEIGHT, width=WIDTH):
    fields = np.array(values, np.float32)[:, None, None, None]
    return fields * np.ones((1, height // 2, width // 2, 2), np.float32)


def flow_payload(values):
    arrays = {}
    for name, sign in (("forward", 1), ("backward", -1)):
        encoded = encode_flow(sign * constant_flow(values))
        arrays.update({f"{name}.{part}": array for part, array in encoded.items()})
    return Payload(arrays, {"pairs": len(values), "gap": 2, "chained": True})


class Stored:
    """Payloads of two videos; notes what is read."""

    def __init__(self, folder):
        # video a: frames 0..4, labels in frames 1 and 4; video b: frames 10..13, in frame 0 (weak)
        self.videos = (video(folder / "a", range(5)), video(folder / "b", range(10, 14)))
        none = instances()
        self.labels = {
            "a": instances_to_payload([none, instances(0.9, 0.2), none, none, instances(0.8)]),
            "b": instances_to_payload([instances(0.3), none, none, none]),
        }
        self.flow = {"a": flow_payload([1, 2, 3]), "b": flow_payload([4, 5])}
        self.read: list[str] = []

    def pairs(self, **options):
        def flow(name):
            self.read.append(name)
            return self.flow[name]

        return StoredClips(self.videos, self.labels.__getitem__, flow, delta=2, **options)

    def whole(self, role):
        raise KeyError(role)

    def video(self, role, name):
        return (self.labels if role == "labels" else self.flow).get(name)


def video(folder, numbers, successors=None, labels=None):
    paths = tuple(map(str, write_frames(folder, list(numbers), ".png")))
    shown = labels or ((0,),) * len(paths)
    return Video(folder.name, HEIGHT, WIDTH, shown, FrameFiles(paths, successors))


@pytest.fixture
def stored(tmp_path):
    return Stored(tmp_path)


def test_pairs_with_a_label_in_one_frame_at_least_come_video_after_video(stored):
    pairs = stored.pairs()
    # of a's pairs (0,2) (1,3) (2,4) the first has no label; of b's (0,2) (1,3) the second
    assert pairs.where == [(0, (1, 3)), (0, (2, 4)), (1, (0, 2))]
    assert stored.read == []
    reds = [tuple(int(frame[0, 0, 0]) for frame in pairs[n].frames) for n in range(3)]
    assert reds == [(1, 3), (2, 4), (10, 12)]
    assert [tuple(map(len, pairs[n].labels)) for n in range(3)] == [(2, 0), (0, 1), (1, 0)]
    moves = [tuple(float(field.mean()) for field in pairs[n].flow[0]) for n in range(3)]
    assert moves == [(2, -2), (3, -3), (4, -4)]


def test_weak_labels_are_left_out_and_pairs_that_have_no_others(stored):
    pairs = stored.pairs(min_score=0.5)
    assert pairs.where == [(0, (1, 3)), (0, (2, 4))]
    labels = pairs[0].labels[0]
    assert labels.scores.tolist() == [pytest.approx(0.9)]
    assert labels.masks == (rectangle(2, 3, 9, 12),)


def test_frames_known_to_show_nothing_are_background_where_asked_for(stored, tmp_path):
    none = instances()
    # of its pairs (0,2) ... (5,7) the last three show no class at all, (2,4) and (1,3) one frame
    stored.videos += (video(tmp_path / "c", range(20, 28), labels=((0,),) * 3 + ((),) * 5),)
    stored.labels["c"] = instances_to_payload([instances(0.9), *[none] * 7])
    stored.flow["c"] = flow_payload([6, 7, 8, 9, 10, 11])
    plain, pairs = stored.pairs(), stored.pairs(background=True)
    assert [where for where in plain.where if where[0] == 2] == [(2, (0, 2))]
    assert pairs.where == [*plain.where, (2, (3, 5)), (2, (4, 6)), (2, (5, 7))]
    assert plain[3].background == (False, False)
    assert [pairs[n].background for n in (3, 4)] == [(False, False), (True, True)]
    # a frame without label that shows a class is not background
    assert pairs[0].background == (False, False)
    # no more of them than of pairs with labels, taken from all over
    few = stored.pairs(background=True, min_score=0.85)
    assert [where for where in few.where if where[0] < 2] == [(0, (1, 3))]
    assert [where for where in few.where if where[0] == 2] == [
        (2, (0, 2)),
        (2, (3, 5)),
        (2, (4, 6)),
    ]


def test_a_full_cache_lets_go_of_the_video_visited_longest_ago(stored):
    large, small = stored.pairs(), stored.pairs(cache_bytes=1)
    _ = [large[n] for n in (0, 2, 1, 2)]
    assert stored.read == ["a", "b"]
    stored.read.clear()
    _ = [small[n] for n in (0, 1, 2, 1)]
    assert stored.read == ["a", "b", "a"]


def test_a_data_set_without_a_usable_pair_is_one_line(stored):
    data = Dataset("clips", ("x",), stored.videos, "")
    with_delta = with_overrides(SMALL, {"pairs.delta": 2})
    assert len(training_clips(with_delta, data, stored)) == 3
    del stored.labels["b"]  # a video that was set aside
    assert len(training_clips(with_delta, data, stored)) == 2
    for change in ({"pairs.delta": 5}, {"detector.label_score": 0.95}):
        with pytest.raises(InputError, match=r"clips: no two frames . apart") as error:
            training_clips(with_overrides(with_delta, change), data, stored)
        assert "\n" not in str(error.value)


def test_flow_between_pairs_goes_to_the_listed_frame_even_where_raw_ones_follow(tmp_path):
    following = tuple(map(str, write_frames(tmp_path / "raw", [1, 3, 5], ".png")))
    clip = video(tmp_path / "a", [0, 2, 4], following)
    config = with_overrides(Config(), {"flow.provider": "dis-ultrafast", "pairs.delta": 1})
    to_raw, to_listed = (stage(config, {})(clip, {}) for stage in (flow, pair_flow))
    assert (to_raw.data["pairs"], to_raw.data["chained"]) == (3, False)
    assert to_listed.data == {"pairs": 2, "gap": 1, "chained": True}
    assert decoded_flow(to_listed, slice(1, 2))[0].shape == (1, HEIGHT // 2, WIDTH // 2, 2)
    short = pair_flow(with_overrides(config, {"pairs.delta": 3}), {})(clip, {})
    assert short.data["pairs"] == 0
    assert len(decoded_flow(short)[0]) == 0


def squares(*corners, size=32):
    masks = torch.zeros(len(corners), size, size, dtype=torch.bool)
    for mask, (top, left, side) in zip(masks, corners, strict=True):
        mask[top : top + side, left : left + side] = True
    return from_masks(masks, torch.zeros(len(corners), dtype=torch.int64), torch.ones(len(corners)))


def test_switches_of_maskconsist_reach_it():
    # a label in frame a alone; the detector sees the object whole in both
    found, still = squares((4, 4, 16)), torch.zeros(32, 32, 2)
    labels = squares((4, 4, 14)), squares()

    def targets(**settings):
        refine = refiner(replace(Config().maskconsist, **settings))
        assert refine is not None
        made = refine((found, found), labels, still, still)
        return tuple(len(one) for one in made)

    assert refiner(replace(Config().maskconsist, enabled=False)) is None
    # to b from a; in a nothing new: b has no label that would support it
    assert targets() == (1, 1)
    # without matching each frame's own labels support: in a the label suppresses the whole object
    assert targets(inter=False) == (1, 0)
    assert targets(inter=False, iom_nms=False) == (2, 0)
    # boxes of 14 and 16 pixels have an IoU of (14 / 16)^2 = .766
    assert targets(box_iou_threshold=0.8) == (1, 0)
    assert targets(overlap="mask", box_iou_threshold=0.7) == (1, 1)
    assert targets(min_match_iou=1.0) == (1, 0)


def test_what_cannot_be_built_is_refused_before_anything_runs(stored):
    clips = tuple(replace(video, instances=()) for video in stored.videos)
    data = Dataset("clips", ("x",), clips, "")
    near = with_overrides(SMALL, {"pairs.delta": 1})
    absent = with_overrides(near, {"detector.weights": "nowhere.pth"})
    with pytest.raises(InputError, match=r"nowhere\.pth"):
        check_settings(absent, data, ["prediction_quality"])
    check_settings(absent, data, ["pseudo_label_quality"])  # needs no detector
    bare = replace(data, name="bare", videos=stored.videos)
    check_settings(near, bare, ["predictions"])  # measures nothing
    for both in ((bare, None), (data, bare)):
        with pytest.raises(InputError, match=r"bare: video . has no annotated masks"):
            check_settings(near, both[0], ["track_quality"], both[1])
    longest = max(video.length for video in clips)
    far = with_overrides(near, {"pairs.delta": longest})
    with pytest.raises(
        InputError, match=rf"two frames {longest} apart \(the longest has {longest}"
    ):
        check_settings(far, data, ["prediction_quality"])
    check_settings(with_overrides(far, {"pairs.delta": longest - 1}), data, ["predictions"])
    other = with_overrides(
        near, {"detector.weights": "classifier", "detector.backbone": "resnet18"}
    )
    with pytest.raises(InputError, match=r"set detector\.backbone to small, not resnet18"):
        check_initial(other, data)
    check_initial(with_overrides(near, {"detector.weights": "classifier"}), data)


def test_the_short_side_a_detector_has_seen(stored):
    data = Dataset("clips", ("x",), stored.videos, "")
    assert trained_short_side(SMALL, data) == HEIGHT
    resized = with_overrides(SMALL, {"detector.short_sides": (400, 500)})
    assert trained_short_side(resized, data) == 450


class Results:
    """What a run in memory left, as a stage reads it by role."""

    def __init__(self, found, **roles):
        self.found, self.roles = found, roles

    def whole(self, role):
        return self.found[self.roles.get(role, role)]

    def video(self, role, name):
        return self.found[self.roles.get(role, role)].get(name)


@pytest.mark.slow
def test_the_whole_way_to_predictions_runs_without_ray_and_twice_alike():
    data = load_dataset(SMALL.data)
    told = []
    first = run_pipeline(SMALL, data, ["prediction_quality"], told.append)
    curve = first["system"].data["curve"]
    assert curve[-1]["step"] == 4
    assert all(math.isfinite(value) for row in curve for value in row.values())
    assert any("mask" in numbers and numbers["steps"] == 4 for numbers in told)
    assert first["system"].data["class_names"] == list(data.classes)
    assert first["system"].data["system"] == "mask_rcnn"
    clip = data.videos[0]
    found = payload_to_instances(first["predictions"][clip.id])
    assert len(found) == clip.length
    assert all(0 < len(frame) <= 5 for frame in found)
    assert found[0].masks[0]["size"] == [clip.height, clip.width]
    assert first["prediction_quality"].data["frames"] == sum(v.length for v in data.videos)

    inputs = Results(first, labels="pseudo_labels")
    again = train(SMALL, data, inputs, Share())
    for name, array in first["system"].arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    stored = from_bytes(to_bytes(again))
    same = predictions(SMALL, {"system": stored})(clip, {})
    assert same.data == first["predictions"][clip.id].data

    plain = with_overrides(SMALL, {"maskconsist.enabled": False, "detector.weights": "classifier"})
    other = train(plain, data, inputs, Share())
    assert other.data["curve"][-1]["predictions"] == 0
