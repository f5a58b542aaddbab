"""A data set as a folder of MP4 files with ``labels.csv``: what a user's own videos look like."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from wsvis.data.frames import iterate_frames
from wsvis.data.video_files import COLUMNS
from wsvis.files.atomic import new_folder, write_text
from wsvis.types import Dataset, Video
from wsvis.viz.movies import write_mp4

FRAMES_PER_SECOND = 10.0


def write_video_files(
    dataset: Dataset, out: str, on_video: Callable[[int, int], None] | None = None
) -> str:
    """Write ``OUT/<video>.mp4`` and ``OUT/labels.csv``; gives the folder.

    The folder appears whole or not at all. Only classes per frame are kept, no masks, and MPEG-4
    changes pixels a little: it is another data set with its own fingerprint.

    Args:
        dataset: what to write.
        out: a folder that does not exist yet, or is empty.
        on_video: called with (videos done, videos in all).

    Raises:
        InputError: ``out`` is in use, or a frame is bad.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    with new_folder(out) as folder:
        for n, video in enumerate(dataset.videos):
            name = f"{video.id}.mp4"
            write_mp4(Path(folder) / name, iterate_frames(video), fps=FRAMES_PER_SECOND)
            for first, last, label in sorted(label_ranges(video)):
                writer.writerow([name, first, last, dataset.classes[label]])
            if on_video is not None:
                on_video(n + 1, len(dataset.videos))
        write_text(Path(folder) / "labels.csv", table.getvalue())
    return out


def label_ranges(video: Video) -> Iterator[tuple[int, int, int]]:
    """(first frame, last frame, class) of every unbroken stretch of frames that show a class."""
    for label in sorted({label for labels in video.labels for label in labels}):
        shown = [label in labels for labels in video.labels]
        for is_shown, group in itertools.groupby(range(video.length), key=shown.__getitem__):
            frames = list(group)
            if is_shown:
                yield frames[0], frames[-1], label
