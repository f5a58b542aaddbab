"""One video in a process of its own, watched: at it other processes have died.

Such a process can be ended by a fault of a library or by the system for want of memory, and then
cannot say so itself. Its end is seen from outside, and the video is set aside with what is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from wsvis.passing_faults import PassingFault
from wsvis_platform.store.manifest import DIED
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import MOST_DEATHS, Task, VideoOutcome, VideoWorkers

_STOPPED_BY_SOMEBODY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl


def try_alone(stage: str, task: Task, store: Store) -> VideoOutcome:
    """Compute and stage one video in a process of its own; set it aside when that dies too.

    It is tried until ``MOST_DEATHS`` processes and one more have died at it, those before included.

    Raises:
        PassingFault: somebody stopped the process.
        RuntimeError: it ended with an error that is nobody's input.
    """
    staging = store.staging(stage, task.step.key)
    while True:
        row, ending = _watched(stage, task, store)
        if row is not None:
            return row
        if staging.deaths(task.video.id) <= MOST_DEATHS:
            continue
        return set_aside_dead(stage, task, store, ending)


def set_aside_dead(stage: str, task: Task, store: Store, ending: str) -> VideoOutcome:
    """Record that processes died at a video, the last one while it was tried alone."""
    video = task.video.id
    reason = (
        f"{video}: the process that computed {stage} died {ending}, {MOST_DEATHS + 1} times, the "
        f"last time with this video alone; 'wsvis store retry --video {video}' clears this"
    )
    store.quarantine(stage, task.step.key, video, reason, DIED)
    return VideoOutcome(video, "quarantined", reason)


def _watched(stage: str, task: Task, store: Store) -> tuple[VideoOutcome | None, str]:
    """The row that a process of its own gives, or ``None`` and how that process ended."""
    with tempfile.TemporaryDirectory() as name:
        job, answer, error_file = (Path(name) / each for each in ("job", "answer", "said"))
        job.write_bytes(pickle.dumps((stage, str(store.root), task)))
        path = os.pathsep.join(filter(None, sys.path))
        with error_file.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "wsvis_platform.store.lone_video", str(job), str(answer)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": path},
            )
            try:
                code = process.wait()
            finally:
                process.kill()
                process.wait()
        text = error_file.read_text(errors="replace")
        content = json.loads(answer.read_bytes()) if answer.is_file() else {}
    if "row" in content:
        corrupt = content["row"].pop("corrupt")
        return VideoOutcome(**content["row"], corrupt=tuple(corrupt) if corrupt else None), ""
    if "error" in content:
        raise RuntimeError(f"{stage} of {task.video.id}: {content['error']}")
    if -code in _STOPPED_BY_SOMEBODY:
        raise PassingFault(f"{stage} of {task.video.id}: stopped; run the same command again")
    return None, _ending(code, text)


def _ending(code: int, error_text: str) -> str:
    """How a process ended, from its exit code and what Python's fault handler wrote."""
    where = re.search(r'File "([^"]+)", line (\d+) in (\S+)', error_text)
    place = f" in {where[3]} ({Path(where[1]).name}:{where[2]})" if where else ""
    if code >= 0:
        return f"with exit code {code}{place}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (too little memory, most often)" if code == -signal.SIGKILL else ""
    return f"of {name}{hint}{place}"


def main(job: str, answer: str) -> None:
    """What runs in the process: one video, with its outcome in the file ``answer``."""
    faulthandler.enable()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    # written by the process that started this one
    stage, root, task = pickle.loads(Path(job).read_bytes())
    from wsvis_platform.store.extract import limit_threads

    limit_threads(1)
    try:
        row = VideoWorkers(stage, Store(root)).run(task, deaths_allowed=sys.maxsize)
        content = {"row": dataclasses.asdict(row)}
    except Exception as error:
        content = {"error": f"{type(error).__name__}: {error}"}
    whole = Path(f"{answer}.part")
    whole.write_text(json.dumps(content))
    os.replace(whole, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
