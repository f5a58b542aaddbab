"""Results as the YouTube-VIS benchmark server takes them: a zip that holds ``results.json``."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from wsvis.errors import InputError
from wsvis.formats.entry_members import check_score
from wsvis.formats.json_elements import elements
from wsvis.formats.vis_truth import track_summary

NAME = "results.json"
_WANTED = ("video_id", "score", "category_id", "segmentations")


def write_server_zip(results: Path, out: Path) -> int:
    """Pack a results file, one track at a time; gives the number of tracks.

    Only the members that the server reads are written. The zip's bytes depend on the tracks alone,
    and it appears whole or not at all.

    Raises:
        InputError: a track lacks a member or has a score that is no number; or nothing is there.
    """
    try:
        return _write(results, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another") from None


def _write(results: Path, out: Path) -> int:
    tracks = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    entry = zipfile.ZipInfo(NAME, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    try:
        with open(temporary, "wb") as file:
            with (
                zipfile.ZipFile(file, "w") as archive,
                archive.open(entry, "w", force_zip64=True) as member,
            ):
                member.write(b"[")
                for element in elements(results):
                    where = f"{results}: result {tracks}"
                    if element.member is not None:
                        raise InputError(f"{results}: must be a list of tracks")
                    track_summary(where, element.value)
                    check_score(where, element.value)
                    kept = {name: element.value[name] for name in _WANTED}
                    member.write(b",\n" if tracks else b"\n")
                    member.write(json.dumps(kept, separators=(",", ":")).encode())
                    tracks += 1
                member.write(b"\n]\n")
            file.flush()
            os.fsync(file.fileno())
        if tracks == 0:
            raise InputError(f"{results}: holds no tracks; the server would refuse it")
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return tracks
