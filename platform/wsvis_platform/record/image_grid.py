"""MLflow's image grid: pictures of runs side by side, a step for each of the frames shown.

The files are named as ``MlflowClient.log_image`` names them. Its own call takes three requests per
picture and leaves another copy each time it is repeated; here they go up with the other files of
the run, and a repeated run replaces them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

GRID_TAG = {"mlflow.loggedImages": "True"}
"""By which MLflow knows that a run has such pictures."""
MASKS = "pictures/masks"
"""Key of the masks over frames; what stands before the slash is the section of MLflow's charts."""
_LONGEST_SIDE = 256
"""Pixels of the small copy that the grid shows first."""


def write_grid(folder: Path, grid: Mapping[str, Sequence[UInt8[np.ndarray, "_ _ 3"]]]) -> None:
    """Pictures (RGB) of each key, the first at step 0, as files below ``folder``."""
    for key, pictures in grid.items():
        for step, picture in enumerate(pictures):
            place = folder / "images" / f"{key.replace('/', '~')}+step+{step}+timestamp+1+wsvis"
            place.parent.mkdir(exist_ok=True)
            _write(Path(f"{place}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            _write(Path(f"{place}+compressed.webp"), _small(picture), [])


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _write(path: Path, picture: np.ndarray, coding: list[int]) -> None:
    _, coded = cv2.imencode(path.suffix, np.ascontiguousarray(picture[..., ::-1]), coding)
    path.write_bytes(coded.tobytes())
