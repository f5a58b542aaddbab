"""Masks over a frame: translucent fill, contour, and a label with class name and score.

N instances, H W pixels; frames are uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from wsvis.masks import decode_masks
from wsvis.types import FrameInstances
from wsvis.viz.palette import colours_of, ink_on
from wsvis.viz.text import shortened, text_size, write_text


def overlay_masks(
    frame: UInt8[np.ndarray, "H W 3"],
    masks: Bool[np.ndarray, "N H W"],
    colours: UInt8[np.ndarray, "N 3"],
    *,
    captions: Sequence[str] = (),
    opacity: float = 0.4,
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of the frame with each mask filled, outlined and captioned in its colour.

    Large masks are drawn first, so that a small one inside a large one stays visible. Captions sit
    at the top of their mask and are moved down where they would cover each other.

    Args:
        frame: RGB.
        masks: one per instance; empty ones are passed over.
        colours: RGB of each instance.
        captions: one per instance, or none at all.
        opacity: of the fill, 0..1.
    """
    if captions and len(captions) != len(masks):
        raise ValueError(f"{len(captions)} captions for {len(masks)} masks")
    height, width = frame.shape[:2]
    thickness = max(1, round(min(height, width) / 240))
    areas = masks.reshape(len(masks), height * width).sum(1)
    order = [n for n in np.argsort(-areas, kind="stable").tolist() if areas[n]]
    out = frame.copy()
    for n in order:
        inside = masks[n]
        out[inside] = np.round((1 - opacity) * out[inside] + opacity * colours[n].astype(float))
    for n in order:
        edges, _ = cv2.findContours(
            masks[n].astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        # A dark rim keeps a pale colour visible on a pale frame.
        dark = tuple(int(0.3 * value) for value in colours[n])
        cv2.drawContours(out, edges, -1, dark, thickness + 1, cv2.LINE_AA)
        colour = tuple(int(value) for value in colours[n])
        cv2.drawContours(out, edges, -1, colour, thickness, cv2.LINE_AA)
    if captions:
        _draw_captions(out, masks, colours, captions, order)
    return out


def overlay_instances(
    frame: UInt8[np.ndarray, "H W 3"],
    instances: FrameInstances,
    class_names: Sequence[str],
    *,
    ids: Sequence[int] | None = None,
    colour_by: Literal["instance", "class"] = "instance",
    show_scores: bool = True,
    opacity: float = 0.4,
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of the frame with its instances drawn over it.

    Args:
        frame: RGB, of the size of the masks.
        instances: what was found (or annotated) in the frame.
        class_names: name of each label 0..C-1.
        ids: an id per instance, the track's for example: the same id has the same colour in every
            frame. ``None``: the position in the frame.
        colour_by: colour by ``ids`` or by class.
        show_scores: write the score behind the class name.
        opacity: of the fill, 0..1.
    """
    height, width = frame.shape[:2]
    masks = decode_masks(instances.masks, height, width)
    if masks.shape[1:] != (height, width):
        raise ValueError(f"masks of {masks.shape[1:]} over a frame of {(height, width)}")
    keys = instances.labels if colour_by == "class" else ids
    colours = colours_of(range(len(instances)) if keys is None else keys)
    captions = [
        f"{class_names[label]} {score:.2f}" if show_scores else str(class_names[label])
        for label, score in zip(instances.labels.tolist(), instances.scores.tolist(), strict=True)
    ]
    return overlay_masks(frame, masks, colours, captions=captions, opacity=opacity)


def _draw_captions(
    out: np.ndarray,
    masks: np.ndarray,
    colours: np.ndarray,
    captions: Sequence[str],
    order: Sequence[int],
) -> None:
    height, width = out.shape[:2]
    size = max(9, round(min(height, width) / 17))
    pad = max(2, size // 4)
    taken: list[tuple[int, int, int, int]] = []
    for n in order:
        text = shortened(captions[n], size, width - 2 * pad)
        text_width, text_height = text_size(text, size)
        box_width, box_height = text_width + 2 * pad, text_height
        ys, xs = np.nonzero(masks[n])
        x = min(max(int(xs[ys == ys.min()].mean()) - box_width // 2, 0), max(width - box_width, 0))
        y = max(int(ys.min()) - box_height, 0)
        x, y = _free_place(x, y, box_width, box_height, taken, height)
        taken.append((x, y, x + box_width, y + box_height))
        card = out[y : y + box_height, x : x + box_width]
        card[:] = np.round(0.1 * card + 0.9 * colours[n].astype(float))
        write_text(out, text, x + pad, y, size=size, ink=ink_on(colours[n]))


def _free_place(
    x: int, y: int, width: int, height: int, taken: list[tuple[int, int, int, int]], bottom: int
) -> tuple[int, int]:
    """The first place at or below (x, y) where the caption covers no earlier one."""
    place = y
    while place + height <= bottom:
        hits = [b for b in taken if x < b[2] and b[0] < x + width]
        hits = [b for b in hits if place < b[3] and b[1] < place + height]
        if not hits:
            return x, place
        place = max(b[3] for b in hits)
    return x, y
