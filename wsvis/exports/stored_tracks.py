"""A YouTube-VIS results file and the list of its videos, read back for other formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from wsvis.exports.tracked_video import Categories, TrackedVideo
from wsvis.formats.json_elements import reread
from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import open_truth
from wsvis.masks import rle_areas
from wsvis.types import Track


def stored_tracks(results: Path, listing: Path) -> tuple[Iterator[TrackedVideo], Categories]:
    """The videos of a results file one after the other, and what their classes are called.

    Args:
        results: list of tracks, as ``wsvis run``, ``predict`` and ``track`` write it.
        listing: YouTube-VIS JSON with its videos and categories; annotations play no part.

    Raises:
        InputError: one line that names the file, the entry and the cure.
    """
    truth = open_truth(listing, need_annotations=False)
    ids = sorted(truth.labels, key=truth.labels.__getitem__)
    loads = open_results(results, truth)

    def videos() -> Iterator[TrackedVideo]:
        for entry, load in zip(truth.videos.values(), loads, strict=True):
            about = reread(listing, [entry.place[:2]])[0]
            ranked = sorted(load().predicted, key=lambda track: -track.score)
            tracks = []
            for n, one in enumerate(ranked):
                masks = tuple(
                    rle if rle is not None and rle_areas([rle])[0] else None
                    for rle in one.segmentations
                )
                tracks.append(Track(n, one.label, one.score, masks, (None,) * entry.length))
            names = about.get("file_names")
            yield TrackedVideo(
                entry.id,
                safe_name(str(about.get("name") or _folder(names) or entry.id)),
                entry.height,
                entry.width,
                entry.length,
                tuple(tracks),
                frame_names=tuple(map(str, names)) if names else (),
                file=str(about.get("file", "")),
            )

    return videos(), Categories(truth.classes, tuple(ids))


def safe_name(text: str) -> str:
    """The text as a file name: whatever could leave a folder becomes an underscore."""
    return re.sub(r"[^\w. -]", "_", text).lstrip(". -") or "video"


def _folder(names: object) -> str:
    first = names[0] if isinstance(names, list) and names else ""
    return str(first).rpartition("/")[0]
