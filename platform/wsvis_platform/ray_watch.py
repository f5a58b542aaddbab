"""Ray's own processes watched: where one dies, the command ends at once, in one line.

Ray ends a driver whose raylet died with status 1 and no word, after it has shown the last lines of
the raylet's log; one whose GCS died after a minute of waiting, with a stack dump. Nor can a driver
leave such a Ray in order: its next call may be the one that ends it. So it ends as if it had been
killed, which every file, entry and run it writes is made for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from wsvis.errors import one_line
from wsvis_platform.stopping import exit_status, listens

_WITHOUT_WHICH = ("raylet", "gcs_server")
_EVERY = 0.05
"""Seconds between two looks: Ray's agents need a little more to send what they say of a death."""
_MEANT = 2.0
"""Seconds for this process to hear of a signal that went to all: Ray's have ended, it stops."""


@contextlib.contextmanager
def watch_over_ray() -> Iterator[None]:
    """End this command, status 2, if the Ray that it started dies during the block.

    Without :func:`~wsvis_platform.stopping.listen_for_signals` (in tests, in a notebook) the
    process is not ours to end, and Ray is left as it is.
    """
    if not listens():
        yield
        return
    from ray._private import worker

    node: Any = worker._global_node
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(node, over), daemon=True)
    watch.start()
    try:
        yield
    except Exception:
        _end_if_dead(node, over)  # the error of a call that found Ray dead before the watch did
        raise
    finally:
        over.set()
        watch.join()


def _watch(node: Any, over: threading.Event) -> None:
    while not over.wait(_EVERY):
        _end_if_dead(node, over)


def _end_if_dead(node: Any, over: threading.Event) -> None:
    for name, process in node.dead_processes():
        if name not in _WITHOUT_WHICH:
            continue
        code = process.returncode
        if code not in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
            over.wait(_MEANT)
        if exit_status() or over.is_set():
            return
        _end(node, name, code)


def _end(node: Any, name: str, code: int) -> None:
    for _, process in node.live_processes():
        with contextlib.suppress(OSError):
            process.kill()
    how = f"killed by signal {-code}" if code < 0 else f"status {code}"
    want = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
    line = one_line(
        f"error: a process of Ray's that the run rests on died ({name}, {how}{want}); close other "
        "programs or give fewer --workers, and run the same command again: what was finished is "
        "kept"
    )
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[?25h\n")  # a bar has hidden the cursor, and stands on this line
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)
    os._exit(2)
