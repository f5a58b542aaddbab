"""Flow, codec, camera motion, f-CAM and pseudo-masks: what one frame or pair costs on one core.

    OMP_NUM_THREADS=1 python -m pytest -o addopts= -s benchmarks/bench_flow.py

(``-o addopts=`` leaves the shape checks out, which cost time at every call.)
Frames are procedural, 240 x 427 (davis-mini) or 128 x 192 (synthetic). CPU time, not wall time:
a busy machine does not change it much. ``test_extraction_against_the_raw_rate`` prints the share of
the raw DIS rate that is left once reading, both directions and encoding are paid for.
"""

from __future__ import annotations

import time
from itertools import pairwise

import cv2
import numpy as np
import pytest

from wsvis.cam.fcam import frame_fcam, moving_mask
from wsvis.cam.ir_labels import ir_labels
from wsvis.cam.pseudo_masks import motion_masks, pseudo_masks
from wsvis.flow.camera_motion import residual_flow
from wsvis.flow.codec import decode_flow, encode_flow
from wsvis.flow.provider import make_flow_provider, video_flow

DAVIS, SYNTHETIC = (240, 427), (128, 192)
pytestmark = pytest.mark.benchmark(timer=time.process_time, warmup=True, warmup_iterations=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def clip(size: tuple[int, int], length: int = 6) -> np.ndarray:
    """A textured background that pans while a textured disc moves against it."""
    height, width = size
    rng = np.random.default_rng(0)
    far, near = (
        cv2.GaussianBlur(rng.random((height + 64, width + 64, 3)).astype(np.float32), (0, 0), 2)
        for _ in range(2)
    )
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(length):
        frame = far[2 * t : 2 * t + height, 3 * t : 3 * t + width].copy()
        inside = (y - height / 2) ** 2 + (x - width / 3 - 4 * t) ** 2 < (height / 5) ** 2
        moved = np.roll(near, 4 * t, axis=1)[:height, :width]
        frame[inside] = moved[inside]
        frames.append(np.clip((frame - 0.3) * 640, 0, 255).astype(np.uint8))
    return np.stack(frames)


def maps(classes: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth random maps on the stride-4 grid, as CAMs are stored."""
    height, width = (-(-side // 4) for side in size)
    noise = np.random.default_rng(1).normal(size=(height, width, classes)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), height / 8).reshape(height, width, classes)
    blobs = np.maximum(blobs.transpose(2, 0, 1), 0)
    return (blobs / blobs.max((1, 2), keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module")
def field() -> tuple[np.ndarray, np.ndarray]:
    """One pair's forward and backward flow, 240 x 427."""
    forward, backward = video_flow(clip(DAVIS, 2), make_flow_provider("dis-medium"))
    return forward, backward


@pytest.mark.parametrize("name", ["dis-ultrafast", "dis-fast", "dis-medium", "farneback"])
def test_flow_one_direction_240x427(benchmark, name):
    frames, provider = clip(DAVIS, 2), make_flow_provider(name)
    benchmark(provider.flow, frames[:1], frames[1:])


def test_encode_pair_both_directions(benchmark, field):
    encoded = benchmark(lambda: [encode_flow(one, 2) for one in field])
    benchmark.extra_info["bytes per pair"] = sum(one["blob"].nbytes for one in encoded)


def test_decode_pair_both_directions(benchmark, field):
    encoded = [encode_flow(one, 2) for one in field]
    benchmark(lambda: [decode_flow(one) for one in encoded])


@pytest.mark.parametrize("model", ["median", "affine", "homography"])
def test_camera_motion_stride_2(benchmark, field, model):
    grid = decode_flow(encode_flow(field[0], 2))[0]
    benchmark(residual_flow, grid, model, 2.0)


@pytest.mark.parametrize("size", [DAVIS, SYNTHETIC], ids=["240x427", "128x192"])
@pytest.mark.parametrize("classes", [1, 3])
def test_fcam_and_pseudo_masks(benchmark, size, classes):
    cam, magnitude = maps(classes, size), maps(2, (size[0] * 2, size[1] * 2))[1]
    ids = np.arange(classes)

    def frame():
        amplified = frame_fcam(cam, magnitude, *size, 3.0, 0.8)
        return pseudo_masks(amplified, ids, *size, 0.6, 0.01)

    found = benchmark(frame)
    benchmark.extra_info["instances"] = len(found)


@pytest.mark.parametrize("size", [DAVIS, SYNTHETIC], ids=["240x427", "128x192"])
def test_motion_masks(benchmark, size):
    magnitude = maps(1, (size[0] * 2, size[1] * 2))[0]
    benchmark(lambda: motion_masks(moving_mask(magnitude, 0.8), np.arange(1), *size, 0.01))


def test_ir_labels_240x427(benchmark):
    amplified = frame_fcam(maps(2, DAVIS), maps(1, (480, 854))[0], *DAVIS, 2.0, 0.8)
    benchmark(ir_labels, amplified, np.arange(2))


def test_extraction_against_the_raw_rate(benchmark, tmp_path):
    """One core: JPEG decoding, flow both ways, encoding, against OpenCV's DIS alone."""
    frames = clip(DAVIS, 12)
    for t, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{t:03}.jpg"), frame[..., ::-1])
    provider = make_flow_provider("dis-medium")

    def extract():
        read = [cv2.imread(str(path)) for path in sorted(tmp_path.glob("*.jpg"))]
        frames = np.stack([image[..., ::-1] for image in read])
        return [encode_flow(one) for one in video_flow(frames, provider, stride=2)]

    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def raw():
        for a, b in pairwise(gray):
            estimator.calc(a, b, None)  # pyright: ignore
            estimator.calc(b, a, None)  # pyright: ignore

    benchmark.pedantic(extract, rounds=5, warmup_rounds=1)
    spent = []
    for _ in range(5):
        started = time.process_time()
        raw()
        spent.append(time.process_time() - started)
    share = min(spent) / benchmark.stats.stats.min
    benchmark.extra_info["share of the raw rate"] = round(share, 3)
    print(f"\nextraction runs at {share:.0%} of the raw DIS medium rate")
