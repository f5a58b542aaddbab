"""Tracks as a YouTube-VIS results file: a list of {video_id, category_id, score, segmentations}."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from wsvis.files.atomic import write_text
from wsvis.types import Track


def results_of(
    video_id: int, tracks: Iterable[Track], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """The entries of one video; scores unrounded, null where a track has no mask.

    Args:
        video_id: of the data set's file.
        tracks: of the video.
        category_ids: the id of each label 0..C-1 in the data set's file.

    Raises:
        ValueError: a score that is no finite number.
    """
    entries = []
    for track in tracks:
        if not math.isfinite(track.score):
            raise ValueError(f"video {video_id}, track {track.id}: score {track.score}")
        entries.append(
            {
                "video_id": video_id,
                "category_id": category_ids[track.label],
                "score": track.score,
                "segmentations": list(track.segmentations),
            }
        )
    return entries


def write_results(path: str, entries: Iterable[dict[str, Any]]) -> int:
    """Write the entries of all videos, one per line, whole or not at all; gives their number.

    Args:
        path: the JSON file.
        entries: from :func:`results_of`.

    Raises:
        InputError: the file cannot be written.
    """
    lines = [json.dumps(entry, separators=(",", ":"), allow_nan=False) for entry in entries]
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n")
    return len(lines)
