"""The embedded data set: exactness, determinism, what it contains, what its splits share."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from wsvis.data import synthetic_sprites, synthetic_textures
from wsvis.data.synthetic import clip_frames, render_clip, synthetic_dataset
from wsvis.data.synthetic_clip import SyntheticClip
from wsvis.data.synthetic_parameters import CLASSES, GeneratorParameters, with_size
from wsvis.data.synthetic_scene import plan_scene
from wsvis.data.synthetic_textures import STRIPS, split_uniform
from wsvis.errors import InputError
from wsvis.masks import decode_masks
from wsvis.types import SyntheticSource

SMALL = {"height": 64, "width": 96, "frames": 5}
FROZEN = GeneratorParameters()


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    return [render_clip(SyntheticSource("train", index)) for index in range(6)]


def grid(height: int, width: int) -> np.ndarray:
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    target = grid(*image.shape[:2]) + flow
    return cv2.remap(image.astype(np.float32), target[..., 0], target[..., 1], cv2.INTER_LINEAR)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_frame_warped_by_the_flow_is_the_other_frame(clips, direction):
    for clip in clips:
        for t in range(len(clip.frames) - 1):
            if clip.degraded[t] or clip.degraded[t + 1]:
                continue
            if direction == "forward":
                a, b, flow, hidden = t, t + 1, clip.forward_flow[t], clip.occlusion[t]
            else:
                a, b, flow, hidden = t + 1, t, clip.backward_flow[t], clip.backward_occlusion[t]
            error = np.abs(warp(clip.frames[b], flow) - clip.frames[a]).mean(-1)[~hidden]
            # grey levels of 255: what is left is bilinear interpolation and mixed outline pixels
            assert error.mean() < 2.5
            assert np.quantile(error, 0.95) < 7
            still = np.abs(clip.frames[b].astype(float) - clip.frames[a]).mean(-1)[~hidden].mean()
            if still > 4:
                assert error.mean() < 0.5 * still


def test_without_motion_nothing_changes():
    def stays_put(index: int) -> bool:
        scene = plan_scene("train", index, with_size(SMALL))
        only_objects = all(body.label >= 0 for body in scene.bodies)
        return scene.is_static and scene.camera == "still" and only_objects

    found = (render_clip(SyntheticSource("train", i, SMALL)) for i in range(200) if stays_put(i))
    clip = next(clip for clip in found if not clip.degraded.any())
    assert not clip.forward_flow.any()
    assert not clip.occlusion.any()
    assert (clip.frames == clip.frames[:1]).all()


def test_visible_masks_move_by_the_flow(clips):
    for clip in clips:
        for t in range(len(clip.frames) - 1):
            target = grid(*clip.visible.shape[1:]) + clip.forward_flow[t]
            for mask, later in zip(clip.masks[:, t], clip.masks[:, t + 1], strict=True):
                shown = mask & ~clip.occlusion[t]
                if shown.sum() < 50:
                    continue
                x, y = np.round(target[shown]).astype(int).T
                # a rounded target may miss the outline by one pixel
                near = cv2.dilate(later.astype(np.uint8), np.ones((3, 3), np.uint8))
                assert near[y, x].all()
                assert later[y, x].mean() > 0.9


def test_forward_and_backward_flow_undo_each_other(clips):
    clip = clips[0]
    back = np.dstack(
        [warp(clip.backward_flow[3][..., channel], clip.forward_flow[3]) for channel in (0, 1)]
    )
    inside = cv2.erode((~clip.occlusion[3]).astype(np.uint8), np.ones((5, 5))) > 0
    same = cv2.remap(
        clip.visible[4].astype(np.float32),
        *cv2.split(grid(*clip.visible.shape[1:]) + clip.forward_flow[3]),
        cv2.INTER_LINEAR,
    )
    pure = inside & (same == clip.visible[3])
    assert pure.mean() > 0.8
    assert np.abs(back + clip.forward_flow[3])[pure].max() < 0.02


def test_masks_are_disjoint_and_heads_lie_in_them(clips):
    for clip in clips:
        assert clip.masks.sum(0).max() <= 1
        assert not (clip.head_masks & ~clip.masks).any()


def test_a_clip_depends_on_its_source_only():
    first = render_clip(SyntheticSource("val", 3, SMALL))
    np.random.default_rng(0).random()
    render_clip(SyntheticSource("val", 4, SMALL))
    second = render_clip(SyntheticSource("val", 3, SMALL))
    assert_array_equal(first.frames, second.frames)
    assert_array_equal(first.masks, second.masks)
    assert_array_equal(first.forward_flow, second.forward_flow)


@pytest.mark.slow
def test_another_process_renders_the_same_clip():
    code = (
        "import hashlib\n"
        "from wsvis.data.synthetic import render_clip\n"
        "from wsvis.types import SyntheticSource\n"
        "clip = render_clip(SyntheticSource('train', 7))\n"
        "print(hashlib.sha256(clip.frames.tobytes()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(seen) == 1


def test_dataset_labels_follow_from_its_masks():
    data = synthetic_dataset("val", 4, SMALL)
    for video in data.videos:
        clip = render_clip(video.source)
        assert (video.height, video.width, video.length) == (64, 96, 5)
        assert video.instances is not None
        for t, labels in enumerate(video.labels):
            shown = [i for i in video.instances if i.segmentations[t] is not None]
            assert labels == tuple(sorted({i.label for i in shown}))
            masks = decode_masks([i.segmentations[t] for i in shown], 64, 96)
            assert_array_equal(masks, clip.masks[clip.annotated[:, t], t])
            assert all(mask.sum() >= FROZEN.min_visible / 4 for mask in masks)


def test_fingerprint_tells_splits_counts_and_sizes_apart():
    small = {"height": 32, "width": 48, "frames": 2}
    data = [
        synthetic_dataset("train", 2, small),
        synthetic_dataset("train", 3, small),
        synthetic_dataset("val", 2, small),
        synthetic_dataset("train", 2, {**small, "frames": 3}),
    ]
    assert len({d.fingerprint for d in data}) == 4
    assert data[0].fingerprint == synthetic_dataset("train", 2, small).fingerprint
    assert data[0].videos == data[1].videos[:2]
    assert data[0].classes == CLASSES


def test_frames_come_from_memory_and_cannot_be_changed():
    source = SyntheticSource("train", 1, SMALL)
    frames = clip_frames(source)
    assert frames is clip_frames(SyntheticSource("train", 1, dict(SMALL)))
    assert_array_equal(frames, render_clip(source).frames)
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0


@pytest.fixture(scope="module", params=["train", "val"])
def scenes(request):
    # 160 clips of a split: the shares of kinds, without drawing anything
    return [plan_scene(request.param, index, FROZEN) for index in range(160)]


def test_kinds_of_clips_have_their_shares(scenes):
    objects = [[b for b in s.bodies if b.label >= 0] for s in scenes]
    assert sum(s.is_static for s in scenes) == 32  # one in five, exactly
    count = Counter(len(o) for o in objects)
    assert set(count) == {1, 2, 3}
    assert count[1] == pytest.approx(64, abs=20)  # 160 x 0.40, three deviations of 6.2
    assert count[3] == pytest.approx(32, abs=16)  # 160 x 0.20, three deviations of 5.1
    cameras = Counter(s.camera for s in scenes)
    assert min(cameras[c] for c in ("still", "pan", "follow")) >= 15
    distractors = Counter(sum(b.label < 0 for b in s.bodies) for s in scenes)
    assert min(distractors[n] for n in (0, 1, 2)) >= 12
    same = sum(s.first_of_class_touching > 0 for s in scenes)
    assert same == pytest.approx(0.40 * 160 * 0.6 + 0.20 * 160 * 0.84, abs=21)


def test_classes_are_balanced(scenes):
    for start in range(0, 160, 8):
        block = scenes[start : start + 8]
        firsts = [set(b.label for b in s.bodies if b.label >= 0) for s in block]
        assert set().union(*firsts) == set(range(8))
    every = Counter(b.label for s in scenes for b in s.bodies if b.label >= 0)
    assert max(every.values()) < 1.7 * min(every.values())


def test_same_class_neighbours_touch_and_move_differently():
    touching, apart = 0, 0
    for index in range(30):
        scene = plan_scene("train", index, FROZEN)
        if not scene.first_of_class_touching:
            continue
        clip = render_clip(SyntheticSource("train", index))
        label = Counter(clip.labels.tolist()).most_common(1)[0][0]
        pair = np.flatnonzero(clip.labels == label)[:3]
        grown = [
            cv2.dilate(m.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            for m in clip.masks[pair, 5]
        ]
        met = any((grown[i] & grown[j]).any() for i in range(len(pair)) for j in range(i))
        touching, apart = touching + met, apart + (not met)
        if not scene.is_static:
            speeds = [clip.forward_flow[5][clip.masks[n, 5]].mean(0) for n in pair[:2]]
            assert np.linalg.norm(speeds[0] - speeds[1]) > 0.5
    assert touching >= 4 * apart
    assert touching >= 6


def test_the_head_is_about_two_fifths_of_an_object(clips):
    alone = [
        clip.head_masks[n, 5].sum() / clip.masks[n, 5].sum()
        for clip in clips
        for n in range(len(clip.labels))
        if len(clip.scene.bodies) == 1
    ]
    clear = [
        render_clip(SyntheticSource("train", i))
        for i in range(6, 60)
        if len(plan_scene("train", i, FROZEN).bodies) == 1
    ]
    alone += [c.head_masks[0, 5].sum() / c.masks[0, 5].sum() for c in clear[:8]]
    assert 0.36 < float(np.median(alone)) < 0.42


def test_the_splits_share_no_texture(monkeypatch):
    drawn: dict[bool, list[float]] = {False: [], True: []}

    def spy(rng, low: float, high: float, is_val: bool) -> float:
        value = split_uniform(rng, low, high, is_val)
        drawn[is_val].append((value - low) / (high - low))
        return value

    monkeypatch.setattr(synthetic_textures, "split_uniform", spy)
    monkeypatch.setattr(synthetic_sprites, "split_uniform", spy)
    for split, is_val in (("train", False), ("val", True)):
        for index in range(6):
            render_clip(SyntheticSource(split, index, SMALL))
        assert len(drawn[is_val]) > 60
        assert not drawn[not is_val] or is_val
    strips = {k: {int(STRIPS * v) for v in values} for k, values in drawn.items()}
    assert strips[False] == {0, 2, 4}
    assert strips[True] == {1, 3, 5}


def test_objects_cross_in_front_of_each_other():
    overlapped = 0
    for index in range(14):
        clip = render_clip(SyntheticSource("train", index))
        covered = clip.occlusion[:, 8:-8, 8:-8] & clip.masks.any(0)[:-1, 8:-8, 8:-8]
        overlapped += int(covered.sum() > 50)  # object pixels that something comes to hide
    assert overlapped >= 4


def test_misuse_is_refused_in_one_line():
    with pytest.raises(InputError, match="no split 'test'"):
        render_clip(SyntheticSource("test", 0))
    with pytest.raises(InputError, match="'body_replaced' is frozen"):
        with_size({"body_replaced": 0.0})
    with pytest.raises(InputError, match="height is 8; it must be a whole number"):
        with_size({"height": 8})
    with pytest.raises(InputError, match="at least 1 clip"):
        synthetic_dataset("train", 0)
