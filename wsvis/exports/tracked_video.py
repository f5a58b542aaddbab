"""A video with the tracks found in it: what every export format is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wsvis.types import Track


@dataclass(frozen=True)
class Categories:
    """Class names with the ids that they carry in files."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    """As many; 1, 2, ... unless the data set numbers them in another way."""

    def entries(self) -> list[dict[str, Any]]:
        """As COCO and YouTube-VIS list them."""
        pairs = zip(self.ids, self.names, strict=True)
        return [{"id": number, "name": name, "supercategory": "object"} for number, name in pairs]


def categories_of(names: Sequence[str], ids: Sequence[int] = ()) -> Categories:
    """Categories with these ids, or numbered from 1 on."""
    return Categories(tuple(names), tuple(ids) or tuple(range(1, len(names) + 1)))


@dataclass(frozen=True)
class TrackedVideo:
    """One video and the objects followed through it."""

    number: int
    """Its id in the files, from 1 on."""
    name: str
    """Usable as a file name."""
    height: int
    width: int
    length: int
    """Frames; every track has an entry for each."""
    tracks: tuple[Track, ...]
    """By descending score."""
    frame_names: tuple[str, ...] = ()
    """File of each frame below the folder of frames; empty: NAME/00000.jpg and so on."""
    file: str = ""
    """The video file, where the frames lie in one."""

    def frame_name(self, t: int) -> str:
        """File of frame ``t`` below the folder of frames."""
        return self.frame_names[t] if self.frame_names else f"{self.name}/{t:05d}.jpg"

    def entry(self) -> dict[str, Any]:
        """As a YouTube-VIS JSON lists it."""
        place = {"file": self.file} if self.file else {}
        return {
            "id": self.number,
            "name": self.name,
            "height": self.height,
            "width": self.width,
            "length": self.length,
            "file_names": [self.frame_name(t) for t in range(self.length)],
            **place,
        }
