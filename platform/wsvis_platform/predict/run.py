"""``wsvis predict`` over all workers: videos looked at on GPUs or CPUs, films drawn beside them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import ray
import ray.data
from ray.data import ActorPoolStrategy, TaskPoolStrategy

from wsvis.files.atomic import new_file, write_text
from wsvis_platform.console import Bar, Screen
from wsvis_platform.options import MachineOptions
from wsvis_platform.predict.folder import PredictJob, done_counts, forget_attempts, frames_under_way
from wsvis_platform.predict.worker import VideoPredictor, draw_film, outcome
from wsvis_platform.store.extract import (
    LOST,
    block_sizes,
    quiet_context,
    without_core_lines,
    workers_die,
)


def predict_videos(
    job: PredictJob,
    paths: Sequence[str],
    names: Sequence[str],
    machine: MachineOptions,
    screen: Screen,
) -> list[dict[str, Any]]:
    """A row for every video, in their order: done, or unusable with the reason.

    Videos whose results are complete are not looked at again.

    Args:
        job: what is to be done.
        paths: the files.
        names: the folder of each.
        machine: workers and GPUs, of a Ray that runs.
        screen: where progress and lines go.

    Raises:
        InputError: worker processes die again and again, or the machine fails; one line.
    """
    forget_attempts(job.out)
    rows: dict[str, dict[str, Any]] = {}
    unseen: list[dict[str, Any]] = []
    for path, name in zip(paths, names, strict=True):
        counts = done_counts(job, name, path)
        if counts is None:
            job.film_of(name).unlink(missing_ok=True)  # of another file of this name
            unseen.append({"path": path, "name": name})
        else:
            rows[name] = outcome(path, name, *counts)
    if rows:
        screen.line(f"{len(rows)} of {len(paths)} videos are done already")
    undrawn = [
        row
        for row in rows.values()
        if job.film != "none" and not job.film_of(row["name"]).is_file()
    ]
    with screen.bar("frames") as bar, _shown(job, bar, len(unseen), rows_done := []):
        for part in (undrawn, unseen):
            for row in ray_outcomes(job, part, machine, look=part is unseen):
                rows[row["name"]] = row
                if part is unseen:
                    rows_done.append(row)
                _say(screen, row)
    forget_attempts(job.out)
    return [rows[name] for name in names]


def _say(screen: Screen, row: dict[str, Any]) -> None:
    if row["status"] != "done":
        screen.warn(row["detail"])
        return
    for note in filter(None, row["detail"].split(" | ")):
        screen.warn(note)
    screen.line(f"{row['path']}: {row['frames']} frames, {row['tracks']} tracks")


def ray_outcomes(
    job: PredictJob, rows: Sequence[dict[str, Any]], machine: MachineOptions, *, look: bool
) -> Iterator[dict[str, Any]]:
    """The rows, completed, as they come."""
    if not rows:
        return
    have = ray.cluster_resources()
    cpus = int(have.get("CPU", 1))
    gpus = machine.gpus_per_worker if machine.gpus != "0" and have.get("GPU", 0) else 0
    room = int(have["GPU"] / gpus) if gpus else cpus
    size = max(1, min(machine.workers or room, len(rows)))
    quiet_context()
    videos = ray.data.from_arrow(_blocks(rows, size))
    if look:
        videos = videos.map(
            _Predictor,  # pyright: ignore[reportArgumentType]
            fn_constructor_kwargs={"job": job, "threads": max(1, cpus // size)},
            compute=ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
            num_cpus=1,
            num_gpus=gpus or None,
        )
    # a film takes a processor beside a GPU; without GPUs it shares the one of its worker
    drawn = videos.map(
        _draw,  # pyright: ignore[reportArgumentType]
        fn_kwargs={"job": job},
        compute=TaskPoolStrategy(max(1, min(cpus - size, len(rows))) if gpus else size),
        num_cpus=1 if gpus or not look else 0,
    )
    try:
        with without_core_lines():
            for plain in drawn.iter_rows():
                yield json.loads(plain["row"])
    except LOST as error:
        raise workers_die("predict", error) from error


class _Predictor:
    """:class:`VideoPredictor` for rows of Ray Data."""

    def __init__(self, job: PredictJob, threads: int) -> None:
        self.predictor = VideoPredictor(job, threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"row": json.dumps(self.predictor(json.loads(row["row"])))}


def _draw(row: dict[str, Any], job: PredictJob) -> dict[str, Any]:
    return {"row": json.dumps(draw_film(json.loads(row["row"]), job))}


def _blocks(rows: Sequence[dict[str, Any]], workers: int) -> list[pyarrow.Table]:
    # as JSON, which keeps names that are no UTF-8
    rest = iter(rows)
    return [
        pyarrow.table({"row": [json.dumps(next(rest)) for _ in range(size)]})
        for size in block_sizes(len(rows), workers, 1)
    ]


@contextlib.contextmanager
def _shown(
    job: PredictJob, bar: Bar, videos: int, done: Sequence[dict[str, Any]]
) -> Iterator[None]:
    """Move the bar by frames, those of videos not opened yet guessed from the others."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            finished = [row["frames"] for row in list(done)]
            working = frames_under_way(job.out)
            lengths = [n for n in [*finished, *(length for _, length in working)] if n]
            waiting = max(videos - len(finished) - len(working), 0)
            mean = sum(lengths) / len(lengths) if lengths else 0
            seen = sum(finished) + sum(frames for frames, _ in working)
            note = f"{len(finished)} of {videos} videos"
            with contextlib.suppress(KeyboardInterrupt):  # the main thread stops the run
                bar.update(seen, round(sum(lengths) + mean * waiting), note)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def assemble_results(job: PredictJob, rows: Sequence[dict[str, Any]]) -> int:
    """``results.json`` and ``videos.json`` over all videos that are done; the number of tracks.

    Written video after video: the masks of ten thousand need not be in memory together.
    """
    done = [row for row in rows if row["status"] == "done"]
    listed: list[dict[str, Any]] = []
    categories: list[Any] = []
    count = 0
    with new_file(os.path.join(job.out, "results.json")) as temporary, open(temporary, "w") as file:
        file.write("[")
        for number, row in enumerate(done, start=1):
            place = job.place(row["name"])
            about = json.loads((place / "videos.json").read_text())
            listed.append({**about["videos"][0], "id": number})
            categories = about["categories"]
            for entry in json.loads((place / "results.json").read_text()):
                text = json.dumps({**entry, "video_id": number}, separators=(",", ":"))
                file.write(f"{',' if count else ''}\n{text}")
                count += 1
        file.write("\n]\n" if count else "]\n")
    content = {"videos": listed, "categories": categories}
    write_text(os.path.join(job.out, "videos.json"), json.dumps(content, indent=1) + "\n")
    return count


def list_unusable(job: PredictJob, rows: Sequence[dict[str, Any]]) -> None:
    """``unusable.csv``: videos that could not be used and why; no file where all could."""
    place = Path(job.out) / "unusable.csv"
    bad = [row for row in rows if row["status"] != "done"]
    if not bad:
        place.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["video", "reason"])
    table.writerows([row["path"], row["detail"]] for row in bad)
    write_text(place, text.getvalue().encode(errors="backslashreplace").decode())
