"""f-Split: a mask that holds two motions is cut in two.

Class maps tell classes apart, not objects: two of one class that touch come as one mask. Where they
move apart, two affine motions fit the flow inside it better than one. H W pixels, D numbers of flow
per pixel (2, or 4 with both directions).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from wsvis.flow.field import regrid_flow
from wsvis.flow.stages import decoded_flow
from wsvis.masks import decode_masks, encode_masks
from wsvis.payload import Payload
from wsvis.types import FrameInstances, Video

REASSIGNMENTS = 8
VOTES = 5
"""Side of the window in which neighbours vote for a pixel's part."""
MOST_POINTS = 4000
"""Pixels that the motions are fitted to; of larger masks every n-th."""


def fields_of_frames(
    payload: Payload, video: Video
) -> Iterator[Float32[np.ndarray, "H W D"] | None]:
    """The flow of every frame to its neighbours, at its own size; ``None`` where none is known.

    To the next frame and, where the pairs are those of neighbouring listed frames, to the one
    before: two looks at one motion.

    Args:
        payload: of the stage ``flow``.
        video: of the flow.
    """
    forward, backward = decoded_flow(payload)
    both = payload.data["chained"]
    for t in range(video.length):
        fields = [forward[t]] if t < len(forward) else []
        fields += [backward[t - 1]] if both and 0 < t <= len(backward) else []
        dense = [regrid_flow(field, video.height, video.width) for field in fields]
        yield np.concatenate(dense, -1) if dense else None


def split_instances(
    instances: FrameInstances, flow: Float32[np.ndarray, "H W D"] | None, **settings: float
) -> FrameInstances:
    """The instances of a frame, those that hold two motions cut; parts keep class and score.

    Args:
        instances: of the frame.
        flow: of the frame; ``None``: nothing is cut.
        settings: see :func:`split_mask`.
    """
    if flow is None or not len(instances):
        return instances
    masks = decode_masks(instances.masks, *flow.shape[:2])
    parts = [split_mask(mask, flow, **settings) for mask in masks]  # pyright: ignore
    counts = [len(each) for each in parts]
    return FrameInstances(
        np.repeat(instances.labels, counts),
        np.repeat(instances.scores, counts),
        tuple(encode_masks(np.stack([part for each in parts for part in each]))),
    )


@dataclass(frozen=True)
class TwoMotions:
    """Two affine motions of one region."""

    first: Float[np.ndarray, "3 D"]
    second: Float[np.ndarray, "3 D"]
    residual: float
    """Median distance of the flow from the nearer of the two, pixels."""
    alone: float
    """Median distance from the best single affine motion, pixels."""


def split_mask(
    mask: Bool[np.ndarray, "H W"],
    flow: Float32[np.ndarray, "H W D"],
    *,
    ratio: float,
    floor: float,
    share: float,
    better: float,
    depth: int,
) -> list[Bool[np.ndarray, "H W"]]:
    """The parts of a mask that move apart, the mask itself where it moves as one.

    Not in the paper. Two affine motions are fitted (a 2-means start, then each pixel goes to the
    motion that fits it better, and both are fitted again). The mask is cut where the two predict
    velocities that differ, in the median over the mask, by more than ``max(ratio x median residual,
    floor)``, each has its ``share``, and one motion alone fits ``better`` times worse.

    Args:
        mask: of one instance.
        flow: in pixels of the frame, the camera's motion taken out or not: an affine camera changes
            nothing. Not a number where it is not known.
        ratio: of the step between the motions to the median residual of both.
        floor: smallest step, pixels.
        share: least part of the mask on either side, 0..0.5.
        better: how many times worse one motion has to fit than two; 1 or less: it need not.
        depth: how often parts are cut again.

    Returns:
        Masks that share no pixel and together have those of ``mask``.
    """
    rows, columns = np.nonzero(mask)
    values = flow[rows, columns]
    known = np.isfinite(values).all(1)
    if depth == 0 or known.sum() < 12:
        return [mask]
    points = _design(rows, columns, mask.shape)
    motions = two_motions(points[known], values[known].astype(np.float64))
    if motions is None:
        return [mask]
    step = np.linalg.norm(points @ (motions.first - motions.second), axis=1)
    if np.median(step) <= max(ratio * motions.residual, floor):
        return [mask]
    if better > 1 and motions.alone < better * motions.residual:
        return [mask]
    second = np.zeros(mask.shape, dtype=bool)
    second[rows, columns] = _nearer_second(points, np.nan_to_num(values), motions)
    one, other = _tidy(mask, second)
    if min(one.sum(), other.sum()) < share * mask.sum():
        return [mask]
    chosen = {"ratio": ratio, "floor": floor, "share": share, "better": better}
    return [
        part for half in (one, other) for part in split_mask(half, flow, depth=depth - 1, **chosen)
    ]


def two_motions(
    points: Float[np.ndarray, "n 3"], values: Float[np.ndarray, "n D"]
) -> TwoMotions | None:
    """The two affine motions that fit best, ``None`` where one side is left without points.

    Args:
        points: (x, y, 1) of each, any unit.
        values: flow there.
    """
    every = max(len(points) // MOST_POINTS, 1)
    points, values = points[::every], values[::every]
    alone = _fitted(points, values)
    side = two_means(values - values.mean(0))
    for _ in range(REASSIGNMENTS):
        if min(side.sum(), (~side).sum()) < 6:
            return None
        first, second = _fitted(points[~side], values[~side]), _fitted(points[side], values[side])
        a, b = (np.linalg.norm(values - points @ m, axis=1) for m in (first, second))
        now = b < a
        if (now == side).all():
            break
        side = now
    residual = float(np.median(np.minimum(a, b)))
    single = float(np.median(np.linalg.norm(values - points @ alone, axis=1)))
    return TwoMotions(first, second, residual, single)


def two_means(values: Float[np.ndarray, "n D"], rounds: int = 10) -> Bool[np.ndarray, " n"]:
    """Two clusters by Lloyd's rounds, begun on both sides of the mean along the widest axis.

    Args:
        values: with mean 0.
        rounds: at most.
    """
    axis = np.linalg.eigh(values.T @ values)[1][:, -1]
    # an axis has no direction of its own: its largest part points up, on every machine
    side = values @ (axis * np.sign(axis[np.abs(axis).argmax()])) > 0
    for _ in range(rounds):
        if side.all() or not side.any():
            break
        low, high = values[~side].mean(0), values[side].mean(0)
        now = ((values - high) ** 2).sum(1) < ((values - low) ** 2).sum(1)
        if (now == side).all():
            break
        side = now
    return side


def _design(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(x, y, 1), centred and of about unit size: the fit is then well conditioned."""
    size = max(shape)
    x, y = (columns - columns.mean()) / size, (rows - rows.mean()) / size
    return np.stack([x, y, np.ones(len(x))], 1)


def _fitted(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    # the smallest ridge: a part that is one row of pixels has no gradient across it
    normal = points.T @ points + 1e-9 * len(points) * np.eye(3)
    return np.linalg.solve(normal, points.T @ values)


def _nearer_second(points: np.ndarray, values: np.ndarray, motions: TwoMotions) -> np.ndarray:
    a, b = (
        np.linalg.norm(values - points @ motion, axis=1)
        for motion in (motions.first, motions.second)
    )
    return b < a


def _tidy(
    mask: Bool[np.ndarray, "H W"], second: Bool[np.ndarray, "H W"]
) -> tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """Neighbours vote; then all but the largest piece of either side goes to the other."""
    window = np.ones((VOTES, VOTES), np.float32)
    count = cv2.filter2D(mask.astype(np.float32), -1, window, borderType=cv2.BORDER_CONSTANT)
    votes = cv2.filter2D(second.astype(np.float32), -1, window, borderType=cv2.BORDER_CONSTANT)
    second = mask & (votes > count / 2)
    for side in (second, mask & ~second):
        largest = _largest(side)
        loose = side & ~largest
        second = (second & ~loose) | (mask & ~second & loose)
    return mask & ~second, second


def _largest(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count < 3:
        return mask
    return np.asarray(parts) == 1 + int(np.argmax(np.asarray(stats)[1:, cv2.CC_STAT_AREA]))
