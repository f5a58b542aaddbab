"""Small data sets written to a folder, for tests of the readers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wsvis.masks import encode_masks

HEIGHT, WIDTH = 24, 40
SHARED = Path(os.environ.get("WSVIS_SHARED", Path(__file__).parents[2].parent / "shared"))
"""Real clips, where the machine has them; tests that need them skip without."""


def picture(level: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An RGB frame whose red says ``level`` everywhere; green and blue vary over it."""
    y, x = np.mgrid[:height, :width]
    channels = [np.full((height, width), level), 4 * x % 256, 8 * y % 256]
    return np.stack(channels, -1).astype(np.uint8)


def write_image(path: Path, image: np.ndarray) -> None:
    """A PNG or JPEG of an RGB picture, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))


def write_frames(folder: Path, numbers: list[int], suffix: str = ".jpg") -> list[Path]:
    """Frames named by their number, which also is their red."""
    paths = [folder / f"{n:05d}{suffix}" for n in numbers]
    for n, path in zip(numbers, paths, strict=True):
        write_image(path, picture(n))
    return paths


def write_video(path: Path, frames: int, code: str = "mp4v") -> Path:
    """A video whose frame t is grey at level 5 t + 4, with weak noise so that frames fill bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25, (64, 48))
    assert writer.isOpened()
    noise = np.random.default_rng(0).integers(-3, 4, (frames, 48, 64, 3))
    for t in range(frames):
        writer.write((5 * t + 4 + noise[t]).clip(0, 255).astype(np.uint8))
    writer.release()
    return path


def rectangle(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    """Compressed RLE of a rectangle, bottom and right exclusive."""
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=bool)
    mask[0, top:bottom, left:right] = True
    return dict(encode_masks(mask)[0])


def ytvis_content(videos: int = 3, frames: int = 4) -> dict[str, Any]:
    """``videos`` videos; video k shows one object of category 10 k, except in frame 1."""
    mask = rectangle(2, 3, 8, 9)
    return {
        "videos": [
            {
                "id": k,
                "height": HEIGHT,
                "width": WIDTH,
                "length": frames,
                "file_names": [f"clip{k}/{t:05d}.jpg" for t in range(frames)],
            }
            for k in range(1, videos + 1)
        ],
        "categories": [{"id": 10 * k, "name": f"class{k}"} for k in range(1, videos + 1)],
        "annotations": [
            {
                "id": 100 + k,
                "video_id": k,
                "category_id": 10 * k,
                "iscrowd": 0,
                "segmentations": [None if t == 1 else mask for t in range(frames)],
            }
            for k in range(1, videos + 1)
        ],
    }


def write_ytvis_files(root: Path, content: dict[str, Any]) -> Path:
    """The JSON and all the frames it lists; gives the JSON's path."""
    for video in content["videos"]:
        for t, name in enumerate(video["file_names"]):
            write_image(root / "JPEGImages" / name, picture(t, video["height"], video["width"]))
    path = root / "instances.json"
    path.write_text(json.dumps(content))
    return path
