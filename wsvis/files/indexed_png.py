"""Masks stored as PNGs whose pixel values are numbers, not colours."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from jaxtyping import Int
from PIL import Image

from wsvis.errors import InputError
from wsvis.files.regular_file import read_regular

MAX_PIXELS = 1 << 26
"""8192 x 8192: a small file may claim a mask that fills the memory."""
MAX_BYTES = 256 << 20
"""Of the file; a mask of all those pixels that compresses badly."""


_ABSENT = "the mask is absent; restore the file"


def read_indexed_png(path: str) -> tuple[Int[np.ndarray, "H W"], bool]:
    """The numbers in a PNG (int32), and whether it has a palette.

    OpenCV would turn a palette into colours, so Pillow reads these.

    Raises:
        InputError: the file is absent, damaged, too large, or holds colours.
    """
    try:
        # from memory: Pillow believes what a file says of its chunks, and a file reserves that much
        content = BytesIO(read_regular(path, MAX_BYTES, _ABSENT))
        with Image.open(content) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path}: has more pixels than a mask may have; check the file")
            mode = image.mode
            values = np.asarray(image)
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f"{path}: is no readable PNG; copy or export the mask again") from None
    if values.ndim != 2:
        raise InputError(f"{path}: holds colours ({mode}); export the mask with object numbers")
    return values.astype(np.int32), mode == "P"
