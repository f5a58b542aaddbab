"""Make the pictures of the documents from finished runs: a film as GIF, strip and sheets as JPEG.

    make run && python tools/readme_pictures.py --run runs/clips-run

Writes docs/pictures/film.gif (a few clips side by side, under 1 MB) and docs/pictures/strip.jpg
(what goes in, how masks come about, what comes out). With ``--sheets``, the folder of a ``wsvis
evaluate pictures`` of all videos, docs/pictures/gallery_*.jpg instead: the best, the middle and the
worst ones of docs/gallery.md.
"""

from __future__ import annotations

import argparse
import base64
import re
from itertools import cycle, pairwise
from pathlib import Path

import cv2
import numpy as np

from wsvis.errors import InputError
from wsvis_platform.console import run_command

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CLIPS, MOST_BYTES = 3, 1_000_000


def main() -> None:
    """Read the films and the report of a run, write the two pictures."""
    from wsvis.viz.movies import write_gif

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", default="runs/clips-run", help="folder of a finished wsvis run")
    parser.add_argument("--sheets", default="", help="folder of wsvis evaluate pictures")
    given = parser.parse_args()
    if given.sheets:
        write_gallery(Path(given.sheets))
        return
    run = Path(given.run)
    films = [frames(path) for path in sorted((run / "films").glob("*.webm"))]
    if len(films) < CLIPS:
        raise InputError(f"{run}: holds fewer than {CLIPS} films; run 'make run' first")
    films = sorted(films, key=lambda film: -moving(film))[:CLIPS]
    longest = max(map(len, films))
    endless = [cycle(film) for film in films]
    rows = [np.hstack([next(film) for film in endless]) for _ in range(longest)]
    PICTURES.mkdir(exist_ok=True)
    write_gif(PICTURES / "film.gif", rows, fps=6.0, width=900)
    size = (PICTURES / "film.gif").stat().st_size
    if size > MOST_BYTES:
        raise InputError(f"{PICTURES / 'film.gif'}: {size} bytes are too many for a README")
    page = (run / "report.html").read_text(encoding="utf-8")
    embedded = re.search(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    if embedded is None:
        raise InputError(f"{run / 'report.html'}: has no picture; run 'make run' first")
    (PICTURES / "strip.jpg").write_bytes(base64.b64decode(embedded.group(1)))
    print(f"wrote {PICTURES / 'film.gif'} ({size // 1000} kB) and strip.jpg")


def write_gallery(folder: Path) -> None:
    """Sheets of the videos that fit best, in between and worst, small enough for a page."""
    sheets = sorted(folder.glob("[0-9]*_*.png"))  # the worst is the first
    if len(sheets) < 2 * CLIPS:
        raise InputError(f"{folder}: holds fewer than {2 * CLIPS} sheets; draw all videos")
    middle = len(sheets) // 2 - 1
    chosen = {"worst": sheets[:2], "middle": sheets[middle : middle + 2], "best": sheets[-2:]}
    for name, paths in chosen.items():
        for number, path in enumerate(paths, start=1):
            place = PICTURES / f"gallery_{name}_{number}.jpg"
            sheet = cv2.imread(str(path))
            if sheet is None:
                raise InputError(f"{path}: is no picture; draw the sheets again")
            cv2.imwrite(str(place), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])
            print(f"wrote {place} ({place.stat().st_size // 1000} kB) from {path.name}")


def frames(path: Path) -> list[np.ndarray]:
    """All frames of a film, RGB."""
    film, pictures = cv2.VideoCapture(str(path)), []
    while True:
        there, picture = film.read()
        if not there:
            return pictures
        pictures.append(picture[..., ::-1].copy())


def moving(film: list[np.ndarray]) -> float:
    """How much changes from frame to frame: still clips make dull films."""
    pairs = pairwise(film)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs] or [0.0]))


if __name__ == "__main__":
    run_command(main)
