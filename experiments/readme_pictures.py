"""Make the README's pictures from what ``make run`` has left: a film as GIF, a strip as JPEG.

    make run && python experiments/readme_pictures.py --run runs/clips-run

Writes docs/pictures/film.gif (a few clips side by side, under 1 MB) and docs/pictures/strip.jpg
(what goes in, how masks come about, what comes out).
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
    run = Path(parser.parse_args().run)
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
