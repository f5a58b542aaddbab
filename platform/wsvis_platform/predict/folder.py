"""The folder of ``wsvis predict``: one folder per video, and which videos are finished in it.

OUT/videos/NAME holds a video's results.json and videos.json (YouTube-VIS), its film, and done.json,
written after the results: a video that has it, of the same file, is not looked at again.
OUT/working holds a short note for each video under way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsvis.errors import InputError
from wsvis.files.atomic import write_text
from wsvis.files.json_input import read_json
from wsvis.tracking.track import Method
from wsvis_platform.run_lock import LOCK

SETTINGS = "settings.json"
_OWN = (SETTINGS, LOCK, "videos", "working", "results.json", "videos.json", "unusable.csv")


@dataclass(frozen=True)
class PredictJob:
    """All that a worker needs to know; every field but the last two changes what is detected."""

    detector: str
    """The file of a detector."""
    short_side: int
    frame_step: int
    keep_readable: bool
    score: float
    detections: int
    classes: tuple[str, ...]
    """Names of those that are kept."""
    flow: str
    flow_weights: str
    method: Method
    max_tracks: int
    min_score: float
    drawn_score: float
    film: str
    """webm, mp4, gif or none."""
    out: str

    def place(self, name: str) -> Path:
        """The folder of one video."""
        return Path(self.out) / "videos" / name

    def film_of(self, name: str) -> Path:
        """The film of one video."""
        return self.place(name) / f"tracks.{self.film}"

    def settings(self) -> dict[str, Any]:
        """What results depend on; the detector by its content."""
        fields = {**vars(self), "classes": list(self.classes)}
        for name in ("film", "out"):
            del fields[name]
        digest = hashlib.sha256(Path(self.detector).read_bytes()).hexdigest()
        return {**fields, "detector": digest}


def open_predictions(job: PredictJob) -> bool:
    """Make the folder, or know it again; whether it was made.

    Raises:
        InputError: it holds something else, or predictions with other settings, or cannot be made.
    """
    out, settings = Path(job.out), job.settings()
    known = out / SETTINGS
    if known.is_file():
        before = read_json(known)
        other = [
            name
            for name, value in settings.items()
            if not isinstance(before, dict) or before.get(name) != value
        ]
        if other:
            raise InputError(
                f"{out}: holds predictions with another --{other[0].replace('_', '-')}; give the "
                "same to go on, or another --out"
            )
        return False
    made = not out.exists()
    if not made and not (out.is_dir() and set(os.listdir(out)) <= {LOCK}):
        raise InputError(f"{out}: exists already; remove it or choose another name")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(known, json.dumps(settings, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another") from None
    return made


def remove_predictions(job: PredictJob, made: bool) -> None:
    """Take away what was written where no video could be used; a user's own folder stays."""
    out = Path(job.out)
    for name in _OWN:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):  # something else is in it
            out.rmdir()


def file_identity(path: str) -> dict[str, Any]:
    """By what a video file is known again: place, bytes, time of the last change."""
    about = os.stat(path)
    return {"file": path, "bytes": about.st_size, "changed": about.st_mtime_ns}


def mark_done(job: PredictJob, name: str, path: str, frames: int, tracks: int) -> None:
    """Note that the results of a video are complete."""
    content = {**file_identity(path), "frames": frames, "tracks": tracks}
    write_text(job.place(name) / "done.json", json.dumps(content) + "\n")


def done_counts(job: PredictJob, name: str, path: str) -> tuple[int, int] | None:
    """Frames and tracks of a video with complete results of this very file; else ``None``."""
    place = job.place(name)
    try:
        content = json.loads((place / "done.json").read_text())
        same = all(content.get(key) == value for key, value in file_identity(path).items())
        if same and all((place / file).is_file() for file in ("results.json", "videos.json")):
            return int(content["frames"]), int(content["tracks"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        pass
    return None


class Working:
    """The note of a video under way: how often it was begun, and how many frames are seen."""

    def __init__(self, out: str, name: str) -> None:
        self.file = Path(out) / "working" / f"{name}.json"
        self.begun = working_counts(self.file)[0]

    def begin(self) -> None:
        """One more attempt; it stays noted when the process dies."""
        self.begun += 1
        self.file.parent.mkdir(exist_ok=True)
        self.say(0, 0)

    def say(self, frames: int, length: int) -> None:
        """So many frames of so many."""
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps([self.begun, frames, length]))
        os.replace(part, self.file)

    def end(self) -> None:
        """Nothing more to be told."""
        self.file.unlink(missing_ok=True)


def working_counts(file: Path) -> tuple[int, int, int]:
    """Attempts, frames seen, and length of a video under way; zeros where there is no note."""
    try:
        begun, frames, length = map(int, json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return 0, 0, 0
    return begun, frames, length


def forget_attempts(out: str) -> None:
    """A new start: what died before is tried again."""
    shutil.rmtree(Path(out) / "working", ignore_errors=True)


def frames_under_way(out: str) -> Sequence[tuple[int, int]]:
    """Frames seen and length of every video under way."""
    folder = Path(out) / "working"
    names = os.listdir(folder) if folder.is_dir() else []
    notes = [working_counts(folder / name) for name in names if name.endswith(".json")]
    return [(frames, length) for _, frames, length in notes]
