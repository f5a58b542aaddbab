"""``wsvis export``: tracks in the forms that other programs and annotation tools read."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Literal

from wsvis.errors import InputError
from wsvis_platform.console import Screen

Form = Literal["zip", "coco", "ytvis", "davis", "cvat"]


def export(
    *,
    out: str,
    form: Form = "zip",
    run: str = "",
    results: str = "",
    listing: str = "",
    min_score: float = 0.0,
) -> int:
    """Write tracks as COCO, YouTube-VIS, DAVIS masks, CVAT for video, or the server's zip.

    coco: one JSON of instances, an image per frame. ytvis: one JSON with the tracks as annotations,
    to train on or to read with --data.path. davis: a folder VIDEO of numbered PNGs each. cvat: a
    folder with an XML per video, which a CVAT task with that video takes as pre-annotations (CVAT
    1.1). zip: a results file as the YouTube-VIS server takes it.

    Args:
        out: the file to write, or the folder (davis, cvat), which must not exist yet.
        form: zip, coco, ytvis, davis or cvat.
        run: folder of a ``wsvis run`` or ``wsvis predict``, whose results.json is taken.
        results: instead of it, a list of tracks, YouTube-VIS results JSON.
        listing: YouTube-VIS JSON with the videos and categories of the results; empty: videos.json
            beside them.
        min_score: tracks that score less are left out (not of the zip).

    Returns:
        The number of tracks, annotations or frames written.
    """
    from wsvis.settings import check_range

    check_range("--min-score", min_score, 0, 1)
    if bool(run) == bool(results):
        raise InputError("give either --run, the folder of a run, or --results, a results file")
    source = Path(run) / "results.json" if run else Path(results)
    if run and not source.is_file():
        raise InputError(f"--run {run}: holds no results.json; give the --out of a wsvis run")
    with Screen() as screen:
        if form == "zip":
            from wsvis.formats.server_zip import write_server_zip

            count, what = write_server_zip(source, Path(out)), "tracks"
        else:
            videos = Path(listing) if listing else source.with_name("videos.json")
            if not videos.is_file():
                raise InputError(
                    f"{videos}: there is no such file; name the YouTube-VIS JSON of the videos "
                    "with --listing"
                )
            count, what = _write(form, source, videos, out, min_score, screen)
        screen.line(f"{out}: {count} {what}")
    return count


def _write(
    form: Form, source: Path, listing: Path, out: str, min_score: float, screen: Screen
) -> tuple[int, str]:
    from dataclasses import replace

    from wsvis.exports.coco import write_coco
    from wsvis.exports.cvat import write_cvat
    from wsvis.exports.davis_masks import write_davis_masks
    from wsvis.exports.stored_tracks import stored_tracks
    from wsvis.exports.ytvis import ytvis_annotations
    from wsvis.files.atomic import new_folder, write_text

    tracked, categories = stored_tracks(source, listing)
    videos = (
        replace(video, tracks=tuple(track for track in video.tracks if track.score >= min_score))
        for video in tracked
    )
    if form == "coco":
        return write_coco(Path(out), videos, categories), "annotations"
    if form == "ytvis":
        content = ytvis_annotations(videos, categories)
        write_text(out, json.dumps(content))
        return len(content["annotations"]), "annotations"
    count = 0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(new_folder(out))
        bar = stack.enter_context(screen.bar("videos"))
        for n, video in enumerate(videos, start=1):
            if form == "davis":
                count += write_davis_masks(Path(folder), video)
            else:
                place = Path(os.path.join(folder, f"{video.name}.xml"))
                count += write_cvat(place, video, categories)
            bar.update(n)
    return count, "masks" if form == "davis" else "tracks"
