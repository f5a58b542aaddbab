"""Optical flow from frames: one protocol, any estimator, whole videos.

T frames, P pairs of frames, H W pixels. Fields are float32 [P, H, W, 2], last axis (u = x, v = y),
F_ab(x) maps a pixel of a to b.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from wsvis.errors import InputError
from wsvis.flow.config import FlowConfig
from wsvis.flow.field import area_mean


@runtime_checkable
class FlowProvider(Protocol):
    """Anything that finds the flow from each first frame to its second.

    An instance may keep buffers between calls: one per thread.
    """

    @property
    def gray(self) -> bool:
        """Only brightness is looked at, so that frames may also come as [P, H, W, 1] gray."""
        ...

    @property
    def batch(self) -> int:
        """Pairs per call that suit it best."""
        ...

    def flow(
        self, first: UInt8[np.ndarray, "P H W C"], second: UInt8[np.ndarray, "P H W C"]
    ) -> Float32[np.ndarray, "P H W 2"]:
        """Flow first -> second in pixels of the given frames; C is 3 (RGB), or 1 if ``gray``."""
        ...


def make_flow_provider(
    name: str, weights: str = FlowConfig.weights, device: str = "cpu"
) -> FlowProvider:
    """The provider of that name.

    Args:
        name: dis-ultrafast, dis-fast, dis-medium, farneback, raft-small or raft-large.
        weights: RAFT only: torchvision's name of some weights (empty = its best ones) or a local
            .pth or .safetensors file.
        device: RAFT only: a torch device, or ``auto`` for the GPU when there is one.

    Raises:
        InputError: no such provider; weights that are absent, unreadable or of another network.
    """
    if name.startswith("raft-"):
        # imported here: the OpenCV providers need no torch in their processes
        from wsvis.flow.raft import make_raft

        return make_raft(name, weights, device)
    from wsvis.flow.opencv_flow import OPENCV_PROVIDERS

    if name not in OPENCV_PROVIDERS:
        known = ", ".join([*OPENCV_PROVIDERS, "raft-small", "raft-large"])
        raise InputError(f"no flow provider is called {name!r}; choose one of {known}")
    if weights:
        raise InputError(f"flow.weights is {weights!r}, but {name} has none; leave it empty")
    return OPENCV_PROVIDERS[name]()


def video_flow(
    frames: UInt8[np.ndarray, "T H W 3"],
    provider: FlowProvider,
    gap: int = 1,
    long_side: int = FlowConfig.long_side,
    stride: int = 1,
) -> tuple[Float32[np.ndarray, "P h w 2"], Float32[np.ndarray, "P h w 2"]]:
    """Flow between frames ``gap`` apart, there and back: max(T - gap, 0) pairs.

    Args:
        frames: RGB.
        provider: finds the flow.
        gap: 1 for neighbours, or the paper's delta.
        long_side: larger frames are shrunk to it first; 0 = never.
        stride: the fields are averaged over blocks of this many pixels of the shrunk frames, as
            they are found (a whole video at full size would be hundreds of megabytes).

    Returns:
        F_{t -> t+gap} and F_{t+gap -> t}; vectors in pixels of the frames as given.

    Raises:
        ValueError: ``gap`` below 1.
    """
    if gap < 1:
        raise ValueError(f"gap is {gap}; it must be at least 1")
    seen = prepare_frames(frames, provider.gray, long_side)
    return _both_ways(seen[:-gap], seen[gap:], provider, stride, frames.shape[1:3])


def pair_flow(
    first: UInt8[np.ndarray, "P H W 3"],
    second: UInt8[np.ndarray, "P H W 3"],
    provider: FlowProvider,
    long_side: int = FlowConfig.long_side,
    stride: int = 1,
) -> tuple[Float32[np.ndarray, "P h w 2"], Float32[np.ndarray, "P h w 2"]]:
    """As :func:`video_flow` for pairs that do not chain: frames with successors of their own."""
    a = prepare_frames(first, provider.gray, long_side)
    b = prepare_frames(second, provider.gray, long_side)
    return _both_ways(a, b, provider, stride, first.shape[1:3])


def prepare_frames(
    frames: UInt8[np.ndarray, "T H W 3"], gray: bool, long_side: int = FlowConfig.long_side
) -> UInt8[np.ndarray, "T h w C"]:
    """Frames as the provider looks at them, each converted and shrunk once.

    Args:
        frames: RGB.
        gray: keep the brightness only (C = 1).
        long_side: larger frames are shrunk (area mean) so that their longer side has this many
            pixels, no side less than 1; 0 = never.
    """
    height, width = frames.shape[1:3]
    shrink = min(1.0, long_side / max(height, width)) if long_side else 1.0
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    if not gray and size == (height, width):
        return frames
    out = np.empty((len(frames), *size, 1 if gray else 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        # gray first: a third of the work for the shrinking
        seen = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if gray else frame
        if size != (height, width):
            seen = cv2.resize(seen, size[::-1], interpolation=cv2.INTER_AREA)
        out[t] = seen.reshape(out.shape[1:])
    return out


def _both_ways(
    first: np.ndarray,
    second: np.ndarray,
    provider: FlowProvider,
    stride: int,
    frame_size: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    (pairs, height, width), both = first.shape[:3], []
    to_frame = np.array([frame_size[1] / width, frame_size[0] / height], dtype=np.float32)
    for a, b in ((first, second), (second, first)):
        grid = (-(-height // stride), -(-width // stride))
        fields = np.empty((pairs, *grid, 2), dtype=np.float32)
        for start in range(0, pairs, provider.batch):
            part = slice(start, start + provider.batch)
            for row, field in enumerate(provider.flow(a[part], b[part]), start):
                fields[row] = area_mean(field, stride)
        both.append(fields if (height, width) == frame_size else fields * to_frame)
    return both[0], both[1]
