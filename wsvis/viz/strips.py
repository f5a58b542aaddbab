"""Rows of captioned pictures: frame, flow, CAM, f-CAM, pseudo-mask, detections, ground truth.

H W pixels of the frame, h w cells of a CAM, K classes, N instances.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.optimize import linear_sum_assignment

from wsvis.masks import encode_masks, rle_iou
from wsvis.types import FrameInstances
from wsvis.viz.flow_wheel import add_flow_legend, clip_maximum, flow_to_colour
from wsvis.viz.heat import heat_bar, heat_over_frame
from wsvis.viz.overlays import overlay_instances
from wsvis.viz.text import shortened, text_size, write_text

_PAPER = 250
_GAP = 6
_CAPTION_SIZE = 13
NOT_USED = "not used"
"""In place of a picture that was no input of the method."""


def cam_strip(
    frame: UInt8[np.ndarray, "H W 3"],
    flow: Float[np.ndarray, "fh fw 2"] | None,
    cam: Float[np.ndarray, "h w"] | Float[np.ndarray, "K h w"],
    fcam: Float[np.ndarray, "h2 w2"] | Float[np.ndarray, "K h2 w2"],
    pseudo: FrameInstances,
    truth: FrameInstances | Bool[np.ndarray, "N H W"] | None,
    class_names: Sequence[str],
    *,
    flow_maximum: float | None = None,
    threshold: float | None = None,
    height: int = 200,
    detections: FrameInstances | None = None,
    unused: Collection[str] = (),
) -> UInt8[np.ndarray, "h3 w3 3"]:
    """Six captioned panels side by side, or seven with detections.

    CAM and f-CAM share one colour scale, 0 to 1 of the max-normalised CAM: what amplification
    lifts past 1 shows as hottest. Maps of several classes are shown as their maximum. A pseudo-mask
    has the colour of the true object it overlaps most (one to one).

    Args:
        frame: RGB.
        flow: in pixels of the frame (any grid), or ``None`` for the last frame of a clip.
        cam: max-normalised class activation maps, before amplification.
        fcam: the same, after.
        pseudo: the pseudo-labels.
        truth: the ground truth; masks alone when classes are not known; ``None``: there is none.
        class_names: name of each label 0..C-1.
        flow_maximum: magnitude (pixels) of the fullest colour; one for all frames of a clip makes
            them comparable. ``None``: the 99th percentile of this flow.
        threshold: foreground threshold of the pseudo-masks, drawn as a line on CAM and f-CAM.
        height: of each panel, in pixels.
        detections: what a detector finds that has learnt from such pseudo-labels.
        unused: captions of panels (``flow``, ``CAM``, ``f-CAM``) that were no input of the method.
    """
    true = _as_instances(truth)
    true_ids = list(range(len(true)))
    panels: list[tuple[str, np.ndarray]] = [("frame", frame)]
    if "flow" in unused:
        panels.append(("flow", _blank(frame, NOT_USED)))
    elif flow is None:
        panels.append(("flow", _blank(frame, "no next frame")))
    else:
        top = clip_maximum([flow]) if flow_maximum is None else flow_maximum
        picture = _resized(flow_to_colour(flow, top), frame.shape[0], frame.shape[1])
        panels.append(("flow", add_flow_legend(picture, top)))
    for name, heat in (("CAM", cam), ("f-CAM", fcam)):
        flat = heat if heat.ndim == 2 else heat.max(0, initial=0)
        shown = heat_over_frame(frame, flat, threshold=threshold)
        panels.append((name, _blank(frame, NOT_USED) if name in unused else shown))
    drawn = overlay_instances(frame, pseudo, class_names, ids=matched_ids(pseudo, true))
    panels.append(("pseudo-mask", drawn))
    if detections is not None:
        ids = matched_ids(detections, true)
        drawn = overlay_instances(frame, detections, class_names, ids=ids)
        panels.append(("detections", drawn))
    if truth is None:
        panels.append(("ground truth", _blank(frame, "no ground truth")))
    else:
        names = class_names if isinstance(truth, FrameInstances) else ["object"]
        drawn = overlay_instances(frame, true, names, ids=true_ids, show_scores=False)
        panels.append(("ground truth", drawn))
    scaled = {"CAM", "f-CAM"}.difference(unused)
    return _row([_captioned(name, each, height, bar=name in scaled) for name, each in panels])


def captioned_row(
    caption: str, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], height: int
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures of one height side by side, the first with the caption."""
    blank = [""] * (len(pictures) - 1)
    named = zip([caption, *blank], pictures, strict=True)
    return _row([_captioned(name, picture, height) for name, picture in named])


def stack_strips(
    strips: Sequence[UInt8[np.ndarray, "_ _ 3"]], title: str = "", captions: Sequence[str] = ()
) -> UInt8[np.ndarray, "H W 3"]:
    """Strips one below the other, aligned left, under one title line.

    Args:
        strips: of any size.
        title: one line above all; empty: none.
        captions: a line above each strip, or none at all.
    """
    if not strips:
        raise ValueError("no strips to stack")
    width = max(strip.shape[1] for strip in strips) + 2 * _GAP
    rows = []
    if title:
        rows.append(_line(title, width, _CAPTION_SIZE + 3, bold=True))
    for number, strip in enumerate(strips):
        if captions:
            rows.append(_line(captions[number], width, _CAPTION_SIZE, bold=True))
        row = np.full((strip.shape[0] + _GAP, width, 3), _PAPER, np.uint8)
        row[: strip.shape[0], _GAP : _GAP + strip.shape[1]] = strip
        rows.append(row)
    return np.concatenate(rows)


def matched_ids(detections: FrameInstances, true: FrameInstances) -> list[int]:
    """An id per found instance: the position of the true one it overlaps most, one to one.

    Found instances without a partner get numbers that no true instance has.
    """
    overlap = rle_iou(detections.masks, true.masks)
    ids = [-1] * len(detections)
    for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
        if overlap[i, j] > 0:
            ids[int(i)] = int(j)
    fresh = iter(range(len(true), len(true) + len(detections)))
    return [next(fresh) if n < 0 else n for n in ids]


def _line(text: str, width: int, size: int, *, bold: bool) -> np.ndarray:
    bar = np.full((text_size(text, size, bold=bold)[1] + _GAP, width, 3), _PAPER, np.uint8)
    fitted = shortened(text, size, width - 2 * _GAP, bold=bold)
    write_text(bar, fitted, _GAP, _GAP // 2, size=size, bold=bold)
    return bar


def _as_instances(truth: FrameInstances | np.ndarray | None) -> FrameInstances:
    if isinstance(truth, FrameInstances):
        return truth
    masks = () if truth is None else tuple(encode_masks(truth))
    return FrameInstances(np.zeros(len(masks), np.int64), np.ones(len(masks), np.float32), masks)


def _blank(frame: np.ndarray, note: str) -> np.ndarray:
    out = np.full_like(frame, 225)
    size = max(9, min(frame.shape[:2]) // 16)
    width, height = text_size(note, size)
    x, y = (out.shape[1] - width) // 2, (out.shape[0] - height) // 2
    write_text(out, note, x, y, size=size, ink=(120, 120, 120))
    return out


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    smaller = height < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=method)


def _captioned(name: str, picture: np.ndarray, height: int, *, bar: bool = False) -> np.ndarray:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    bar_height = text_size(name, _CAPTION_SIZE)[1] + 4
    out = np.full((bar_height + height, width, 3), _PAPER, np.uint8)
    write_text(out, shortened(name, _CAPTION_SIZE, width), 1, 1, size=_CAPTION_SIZE)
    if bar and width > 150:
        legend = heat_bar(48, _CAPTION_SIZE - 3)
        y, x = 5, width - 48 - 14
        out[y : y + legend.shape[0], x : x + 48] = legend
        write_text(out, "0", x - 10, 3, size=_CAPTION_SIZE - 2)
        write_text(out, "1", x + 52, 3, size=_CAPTION_SIZE - 2)
    out[bar_height:] = _resized(picture, height, width)
    return out


def _row(panels: Sequence[np.ndarray]) -> np.ndarray:
    space = np.full((panels[0].shape[0], _GAP, 3), _PAPER, np.uint8)
    cells = [cell for panel in panels for cell in (panel, space)]
    return np.concatenate(cells[:-1], axis=1)
