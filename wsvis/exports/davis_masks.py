"""Tracks as DAVIS masks: a PNG per frame whose pixel values are track numbers, with a palette.

T frames, H W pixels.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from wsvis.errors import InputError
from wsvis.exports.tracked_video import TrackedVideo
from wsvis.masks import decode_masks

MOST = 254
"""Tracks that fit: 0 is the background, 255 means void."""


def davis_palette() -> UInt8[np.ndarray, "256 3"]:
    """The colours of DAVIS (and Pascal VOC): the bits of the number, spread over R, G and B.

    Bit 3 k of the number is bit 7 - k of red, bit 3 k + 1 of green, bit 3 k + 2 of blue.
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for k in range(3):
        for channel in range(3):
            colours[:, channel] |= (((numbers >> (3 * k + channel)) & 1) << (7 - k)).astype(
                np.uint8
            )
    return colours


def painted_frame(video: TrackedVideo, t: int) -> UInt8[np.ndarray, "H W"]:
    """Frame ``t`` with track n as n + 1; where tracks overlap the one that scores more is seen."""
    picture = np.zeros((video.height, video.width), np.uint8)
    shown = [
        (n, rle)
        for n, track in enumerate(video.tracks[:MOST])
        if (rle := track.segmentations[t]) is not None
    ]
    masks = decode_masks([rle for _, rle in shown], video.height, video.width)
    for (n, _), mask in reversed(list(zip(shown, masks, strict=True))):
        picture[mask] = n + 1
    return picture


def write_davis_masks(folder: Path, video: TrackedVideo) -> int:
    """Write ``FOLDER/NAME/00000.png`` and so on, indexed with DAVIS's palette; gives their number.

    Raises:
        InputError: the files cannot be written.
    """
    palette = davis_palette().ravel().tolist()
    place = folder / video.name
    part = place / f".{os.getpid()}.part"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for t in range(video.length):
            image = Image.fromarray(painted_frame(video, t), mode="P")
            image.putpalette(palette)
            image.save(part, format="PNG")
            os.replace(part, place / f"{t:05d}.png")
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written ({error.strerror}); free some space"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or never made
            part.unlink()
    return video.length
