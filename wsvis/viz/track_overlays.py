"""Tracks over the frames of their video: a film, or one sheet with a legend that shows when.

T frames, H W pixels. Frames are uint8 RGB. A track keeps its colour through the video and in every
picture of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from scipy.optimize import linear_sum_assignment

from wsvis.masks import decode_masks, rle_areas, rle_intersections
from wsvis.types import Instance, Rle, Track
from wsvis.viz.overlays import overlay_masks
from wsvis.viz.palette import colours_of
from wsvis.viz.text import shortened, text_size, write_text

_PAPER = 250
_GAP = 6
_TEXT = 13

Object = Track | Instance
"""Anything with an id, a label and a mask per frame."""


def draw_tracks(
    frame: UInt8[np.ndarray, "H W 3"],
    tracks: Sequence[Object],
    t: int,
    class_names: Sequence[str],
    *,
    colour_ids: Sequence[int] | None = None,
    captions: bool = True,
    opacity: float = 0.4,
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of frame ``t`` with the tracks that have a mask there.

    The caption is the class, and for predictions the track's number and its score as a whole.

    Args:
        frame: RGB, of the size of the masks.
        tracks: predictions or ground truth.
        t: which frame of the video.
        class_names: name of each label 0..C-1.
        colour_ids: one per track; ``None``: its own id.
        captions: write them.
        opacity: of the fill, 0..1.
    """
    keys = [track.id for track in tracks] if colour_ids is None else colour_ids
    shown = [
        (track, key, mask)
        for track, key in zip(tracks, keys, strict=True)
        if (mask := track.segmentations[t]) is not None
    ]
    height, width = frame.shape[:2]
    return overlay_masks(
        frame,
        decode_masks([mask for _, _, mask in shown], height, width),
        colours_of([key for _, key, _ in shown]),
        captions=[_caption(track, class_names) for track, _, _ in shown] if captions else (),
        opacity=opacity,
    )


def track_film(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    tracks: Sequence[Object],
    class_names: Sequence[str],
    *,
    min_score: float = 0.0,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Every frame with its tracks, one at a time.

    Args:
        frames: RGB, as many as the tracks have entries.
        tracks: predictions or ground truth.
        class_names: name of each label 0..C-1.
        min_score: predictions that score less are left out.
    """
    kept = [one for one in tracks if not isinstance(one, Track) or one.score >= min_score]
    for t, frame in enumerate(frames):
        yield draw_tracks(frame, kept, t, class_names)


def contact_sheet(
    frames: Sequence[UInt8[np.ndarray, "H W 3"]],
    tracks: Sequence[Track],
    class_names: Sequence[str],
    *,
    truth: Sequence[Instance] | None = None,
    title: str = "",
    columns: int = 5,
    width: int = 300,
    most: int = 10,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Frames spread evenly over a video, with its tracks, and below them who is there when.

    With ground truth two rows are drawn, the truth above the predictions; an object and the track
    that fits it best have the same colour.

    Args:
        frames: RGB, all frames of the video.
        tracks: predictions, best first.
        class_names: name of each label 0..C-1.
        truth: annotated objects.
        title: one line above.
        columns: frames to show.
        width: of each picture in pixels.
        most: tracks to show, best first; the title says how many there are.
    """
    shown = list(tracks[:most])
    picked = np.unique(np.linspace(0, len(frames) - 1, columns).round().astype(int)).tolist()
    rows: list[tuple[str, Sequence[Object], list[int]]] = []
    ids = [track.id for track in shown]
    if truth is not None:
        true_ids = list(range(len(truth)))
        ids = paired_ids(shown, truth)
        rows.append(("ground truth", truth, true_ids))
    rows.append(("tracks", shown, ids))
    parts = []
    if title or len(tracks) > len(shown):
        more = f" (best {len(shown)} of {len(tracks)} tracks)" if len(tracks) > len(shown) else ""
        parts.append(_line(title + more, columns * (width + _GAP) - _GAP, bold=True))
    for name, objects, colours in rows:
        pictures = []
        for t in picked:
            height = round(frames[t].shape[0] * width / frames[t].shape[1])
            drawn = draw_tracks(frames[t], objects, t, class_names, colour_ids=colours)
            small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
            pictures.append(_under(f"{name}, frame {t}", small))
        pictures += [np.full_like(pictures[0], _PAPER)] * (columns - len(picked))
        parts.append(_side_by_side(pictures))
    for name, objects, colours in rows:
        parts.append(_legend(name, objects, colours, class_names, parts[-1].shape[1]))
    return _framed(parts)


def paired_ids(tracks: Sequence[Track], truth: Sequence[Instance]) -> list[int]:
    """An id per track: the position of the true object it fits best (one to one), else a new one.

    Fit is the IoU summed over the video, whatever the classes.
    """
    overlap = np.array([[_tube_iou(one, other) for other in truth] for one in tracks])
    ids = [-1] * len(tracks)
    if overlap.size:
        for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[i, j] > 0:
                ids[int(i)] = int(j)
    fresh = iter(range(len(truth), len(truth) + len(tracks)))
    return [next(fresh) if n < 0 else n for n in ids]


def _tube_iou(a: Object, b: Object) -> float:
    def area(masks: Sequence[Rle | None]) -> int:
        return int(rle_areas([mask for mask in masks if mask is not None]).sum())

    pairs = zip(a.segmentations, b.segmentations, strict=True)
    shared = sum(float(rle_intersections([m], [n])[0, 0]) for m, n in pairs if m and n)
    union = area(a.segmentations) + area(b.segmentations) - shared
    return shared / union if union else 0.0


def _caption(track: Object, class_names: Sequence[str]) -> str:
    name = class_names[track.label]
    return f"{track.id} {name} {track.score:.2f}" if isinstance(track, Track) else name


def _legend(
    name: str,
    objects: Sequence[Object],
    colours: Sequence[int],
    class_names: Sequence[str],
    width: int,
) -> np.ndarray:
    """A line per object: its colour, caption, and a bar over the frames in which it is there."""
    line = text_size("Ag", _TEXT)[1] + 4
    out = np.full((line * (len(objects) + 1) + _GAP, width, 3), _PAPER, np.uint8)
    write_text(out, name if objects else f"{name}: none", 0, 2, size=_TEXT, bold=True)
    left = 230
    for n, (one, colour) in enumerate(zip(objects, colours_of(colours), strict=True)):
        top = line * (n + 1)
        out[top + 3 : top + line - 3, :12] = colour
        caption = shortened(_caption(one, class_names), _TEXT, left - 30)
        write_text(out, caption, 18, top + 2, size=_TEXT)
        edges = np.linspace(left, width, len(one.segmentations) + 1).round().astype(int)
        out[top + line // 2, left:width] = 205
        for mask, start, stop in zip(one.segmentations, edges, edges[1:], strict=False):
            if mask is not None:
                out[top + 4 : top + line - 4, start : max(stop - (stop - start > 3), start + 1)] = (
                    colour
                )
    return out


def _line(text: str, width: int, *, bold: bool) -> np.ndarray:
    size = _TEXT + 2
    out = np.full((text_size(text, size)[1] + _GAP, width, 3), _PAPER, np.uint8)
    write_text(out, shortened(text, size, width, bold=bold), 0, 0, size=size, bold=bold)
    return out


def _under(caption: str, picture: np.ndarray) -> np.ndarray:
    bar = np.full((text_size(caption, _TEXT)[1] + 4, picture.shape[1], 3), _PAPER, np.uint8)
    write_text(bar, shortened(caption, _TEXT, bar.shape[1]), 0, 2, size=_TEXT)
    return np.concatenate([bar, picture])


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    space = np.full((pictures[0].shape[0], _GAP, 3), _PAPER, np.uint8)
    cells = [cell for picture in pictures for cell in (picture, space)]
    return np.concatenate(cells[:-1], axis=1)


def _framed(parts: Sequence[np.ndarray]) -> np.ndarray:
    width = max(part.shape[1] for part in parts)
    rows = []
    for part in parts:
        row = np.full((part.shape[0] + _GAP, width + 2 * _GAP, 3), _PAPER, np.uint8)
        row[: part.shape[0], _GAP : _GAP + part.shape[1]] = part
        rows.append(row)
    return np.concatenate([np.full((_GAP, width + 2 * _GAP, 3), _PAPER, np.uint8), *rows])
