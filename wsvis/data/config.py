"""Configuration of the data set; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.errors import InputError
from wsvis.settings import check_choices, check_range


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which videos. ``kind`` decides how ``path`` is read."""

    kind: Literal["auto", "synthetic", "ytvis", "video-files", "davis", "cityscapes"] = "auto"
    """auto: told from what lies at ``path``, synthetic where there is none; synthetic: rendered
    from code; ytvis: a YouTube-VIS JSON; video-files: a folder of videos with labels.csv; davis:
    folders of frames and mask PNGs; cityscapes: its own folders."""
    path: str = ""
    """The JSON file (ytvis) or the folder; ``synthetic`` has none."""
    frames: str = ""
    """Folder of the frames a YouTube-VIS JSON names; empty: ``JPEGImages`` beside the JSON."""
    split: Literal["all", "train", "val"] = "train"
    """synthetic: its train or validation clips. Files: the held-out split of the paper (10 videos
    per class), ``all`` = no split."""
    held_out_per_class: int = 10
    """Videos per class in the validation split (paper Sec. 4.1)."""
    split_seed: int = 0
    """Which held-out split; not the run's seed, so that several seeds compare on one split."""
    split_file: str = ""
    """A split saved by ``wsvis data split``, used instead of drawing one."""
    frame_step: int = 1
    """Keep every n-th frame; flow is still taken to the next raw frame."""
    keep_readable: bool = False
    """Of a video file that breaks off, use the frames that can be read; else it is set aside."""
    frames_per_second: float = 0.0
    """Video files only: keep about so many frames per second, by each video's own frame rate; 0 =
    every ``frame_step``-th. Frames stored as images have no times: use ``frame_step``."""
    videos: int = 0
    """Use only the first n videos; 0 = all."""
    synthetic_videos: int = 60
    """Clips of the synthetic train split (its validation split has a third as many)."""

    def __post_init__(self) -> None:
        check_choices(self, "data")
        check_range("data.held_out_per_class", self.held_out_per_class, 1, 10_000)
        check_range("data.split_seed", self.split_seed, 0, 2**31 - 1)
        check_range("data.frame_step", self.frame_step, 1, 1000)
        check_range("data.frames_per_second", self.frames_per_second, 0, 240)
        if self.frames_per_second and self.frame_step > 1:
            raise InputError(
                f"data.frames_per_second is {self.frames_per_second:g} and data.frame_step "
                f"{self.frame_step}; give one of them"
            )
        check_range("data.videos", self.videos, 0, 10_000_000)
        check_range("data.synthetic_videos", self.synthetic_videos, 3, 100_000)
