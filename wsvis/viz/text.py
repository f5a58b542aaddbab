"""Text on pictures, in the font matplotlib brings along (so it looks the same everywhere)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size)


def text_size(text: str, size: int, *, bold: bool = False) -> tuple[int, int]:
    """Width and line height in pixels; the height depends on the font size only."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    return round(font.getlength(text)), ascent + descent


def shortened(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """``text``, with its end replaced by an ellipsis where it is wider than ``width``."""
    if text_size(text, size, bold=bold)[0] <= width:
        return text
    while text and text_size(text + "…", size, bold=bold)[0] > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def write_text(
    image: UInt8[np.ndarray, "H W 3"],
    text: str,
    x: int,
    y: int,
    *,
    size: int,
    ink: tuple[int, int, int] = (30, 30, 30),
    bold: bool = False,
) -> None:
    """Write one line into ``image`` (changed in place), its top left corner at (x, y)."""
    width, height = text_size(text, size, bold=bold)
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, image.shape[0]), min(x + width + 1, image.shape[1])
    if bottom <= top or right <= left:
        return
    patch = Image.fromarray(image[top:bottom, left:right])
    ImageDraw.Draw(patch).text((x - left, y - top), text, fill=ink, font=_font(size, bold))
    image[top:bottom, left:right] = np.asarray(patch)
