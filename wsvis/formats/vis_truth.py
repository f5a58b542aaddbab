"""Ground truth in YouTube-VIS JSON, read one video at a time for measuring.

The file is passed over once to check it and to note where each video's objects lie; masks are read
later, per video, so that memory does not grow with the data set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wsvis.data.outside import is_safe_relative
from wsvis.errors import InputError, shown_value
from wsvis.evaluation.tracks import TrueTrack
from wsvis.formats.entry_members import category_name, is_crowd, stated_area, whole_number
from wsvis.formats.json_elements import Element, elements, reread
from wsvis.masks import MAX_PIXELS, checked_rle
from wsvis.types import Rle

MAX_UNNAMED_FRAMES = 1_000_000
"""Frames of all videos without file names: a file of 100 bytes may claim any number."""


class Place(NamedTuple):
    """Where one entry lies in its file."""

    begin: int
    end: int
    number: int
    """What errors call it: its id, or its position in the file."""


@dataclass(frozen=True)
class VideoEntry:
    """What the file says of a video besides its objects."""

    id: int
    height: int
    width: int
    length: int
    name: str
    place: Place
    """Where the file says more."""


@dataclass(frozen=True)
class VisTruth:
    """A ground-truth file whose structure has been checked; labels follow rising category ids."""

    path: Path
    videos: Mapping[int, VideoEntry]
    """By id, ids rising."""
    classes: tuple[str, ...]
    labels: Mapping[int, int]
    """Category id to label."""
    places: Mapping[int, Sequence[Place]]
    """Annotations by video id."""


def open_truth(path: Path, need_annotations: bool = True) -> VisTruth:
    """Check the file, masks apart, and note where the objects of each video lie.

    Args:
        path: YouTube-VIS JSON.
        need_annotations: ``False`` where only videos and categories matter.

    Raises:
        InputError: one line that names the file, the entry and the cure.
    """
    videos: dict[int, VideoEntry] = {}
    categories: dict[int, str] = {}
    numbers_of_names: dict[str, int] = {}
    unnamed = 0
    annotations: dict[int, tuple[Place, int, int, int]] = {}
    members = set()
    for element in elements(path):
        members.add(element.member)
        if element.member == "videos":
            video, named = _video(path, element)
            _refuse_double(path, "video", video.id, videos)
            videos[video.id] = video
            unnamed += 0 if named else video.length
            if unnamed > MAX_UNNAMED_FRAMES:
                raise InputError(
                    f"{path}: video {video.id}: its length is {video.length}, without file_names; "
                    f"more than {MAX_UNNAMED_FRAMES:,} such frames are not believed, name the files"
                )
        elif element.member == "categories":
            entry = reread(path, [(element.begin, element.end)])[0]
            number = whole_number(f"{path}: a category", entry, "id")
            _refuse_double(path, "category", number, categories)
            categories[number] = category_name(f"{path}: category {number}", entry)
            other = numbers_of_names.setdefault(categories[number], number)
            if other != number:  # their results could not be told apart
                raise InputError(
                    f"{path}: categories {other} and {number} are both called "
                    f"{shown_value(categories[number])}; make the names unique"
                )
        elif element.member == "annotations":
            number = whole_number(f"{path}: an annotation", element.value, "id")
            _refuse_double(path, "annotation", number, annotations)
            about = track_summary(f"{path}: annotation {number}", element.value)
            annotations[number] = (Place(element.begin, element.end, number), *about)
    for member in ("videos", "categories", "annotations"):
        if member not in members and (need_annotations or member != "annotations"):
            raise InputError(f"{path}: no ground truth: the list {member} is missing or empty")
    labels = {category: label for label, category in enumerate(sorted(categories))}
    videos = {number: videos[number] for number in sorted(videos)}
    places: dict[int, list[Place]] = defaultdict(list)
    for place, video_id, category, frames in annotations.values():
        where = f"{path}: annotation {place.number}"
        check_track(where, videos, labels, video_id, category, frames)
        places[video_id].append(place)
    return VisTruth(
        path, videos, tuple(categories[c] for c in sorted(categories)), labels, dict(places)
    )


def load_truth(truth: VisTruth, video: VideoEntry) -> list[TrueTrack]:
    """The annotated objects of one video; compressed masks are checked when they are measured."""
    places = truth.places.get(video.id, ())
    tracks = []
    entries = reread(truth.path, [(place.begin, place.end) for place in places])
    for place, entry in zip(places, entries, strict=True):
        where = f"{truth.path}: annotation {place.number}"
        masks = [
            segmentation_of(mask, video, f"{where}, frame {t}")
            for t, mask in enumerate(entry["segmentations"])
        ]
        label = truth.labels[entry["category_id"]]
        crowd, area = is_crowd(where, entry), stated_area(where, entry)
        tracks.append(TrueTrack(label, masks, crowd, area, where))
    return tracks


def frame_paths(truth: VisTruth, video: VideoEntry, folder: Path) -> list[Path]:
    """The image of each frame of a video.

    Raises:
        InputError: the file names no frames, or some outside the folder.
    """
    entry = reread(truth.path, [video.place[:2]])[0]
    names = entry.get("file_names") or []
    where = f"{truth.path}: video {video.id}"
    if len(names) != video.length:
        raise InputError(f"{where}: has no file_names; the frames cannot be found")
    for name in names:
        if not is_safe_relative(name):
            raise InputError(f"{where}: names {name!r}, outside the frames folder; mend the name")
    return [folder / name for name in names]


def segmentation_of(mask: Any, video: VideoEntry, where: str) -> Rle | None:
    """Compressed RLE of the right size, or ``None``; polygons and plain runs are converted."""
    if mask is None or mask == []:
        return None
    compressed = isinstance(mask, dict) and isinstance(mask.get("counts"), str)
    if compressed and mask.get("size") == [video.height, video.width]:
        return {"size": [video.height, video.width], "counts": mask["counts"]}
    return checked_rle(mask, video.height, video.width, where)


def track_summary(where: str, entry: Any) -> tuple[int, int, int]:
    """Video id, category id and number of frames of a track's entry."""
    video_id = whole_number(where, entry, "video_id")
    category = whole_number(where, entry, "category_id")
    if not isinstance(entry.get("segmentations"), list):
        raise InputError(f"{where}: has no list of segmentations; give one per frame")
    return video_id, category, len(entry["segmentations"])


def check_track(
    where: str,
    videos: Mapping[int, VideoEntry],
    labels: Mapping[int, int],
    video_id: int,
    category: int,
    frames: int | None = None,
) -> None:
    """Refuse an entry whose video, category or number of frames the ground truth lacks."""
    if video_id not in videos:
        raise InputError(f"{where}: video_id {video_id} is not among the ground truth's videos")
    if category not in labels:
        raise InputError(f"{where}: category_id {category} is not among the ground truth's")
    length = videos[video_id].length
    if frames is not None and frames != length:
        raise InputError(
            f"{where}: {frames} segmentations, but video {video_id} has {length} frames; "
            "give one per frame, null where the object is absent"
        )


def _video(path: Path, element: Element) -> tuple[VideoEntry, bool]:
    """A video, and whether its frames have names."""
    entry = reread(path, [(element.begin, element.end)])[0]
    where = f"{path}: video {whole_number(f'{path}: a video', entry, 'id')}"
    height, width = (whole_number(where, entry, name) for name in ("height", "width"))
    files = entry.get("file_names") or []
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise InputError(f"{where}: file_names must be a list with the name of each frame")
    if "length" not in entry:
        entry["length"] = len(files)
    length = whole_number(where, entry, "length")
    if min(length, height, width) < 1 or height * width > MAX_PIXELS:
        raise InputError(f"{where}: {length} frames of {width}x{height} cannot be; mend the entry")
    if files and len(files) != length:
        raise InputError(f"{where}: length is {length}, but it has {len(files)} file_names")
    name = str(files[0]).split("/")[0] if files else str(entry["id"])
    place = Place(element.begin, element.end, entry["id"])
    return VideoEntry(entry["id"], height, width, length, name, place), bool(files)


def _refuse_double(path: Path, kind: str, number: int, seen: Mapping[int, Any]) -> None:
    if number in seen:
        raise InputError(f"{path}: {kind} id {number} appears twice; make the ids unique")
