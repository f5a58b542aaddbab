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
from typing import Any, NoReturn

from wsvis.errors import one_line
from wsvis_platform.stopping import exit_status, listens

_WITHOUT_WHICH = ("raylet", "gcs_server")
_EVERY = 0.1
"""Seconds between two looks."""
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

    watch = _Watch(worker._global_node, os.dup(2))
    usual = worker.print_to_stdstream

    def without_dumps(data: dict[str, Any], ignore_prefix: bool) -> None:
        if not data["lines"][0].startswith("Raylet is terminated."):
            usual(data, ignore_prefix)

    worker.print_to_stdstream = without_dumps
    thread = threading.Thread(target=watch.keep, daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        watch.look()  # the error of a call that found Ray dead before the watch did
        raise
    finally:
        watch.over.set()
        thread.join()
        worker.print_to_stdstream = usual
        os.close(watch.screen)


class _Watch:
    """Looks at the processes of a node; ``screen`` is stderr, which others turn to files."""

    def __init__(self, node: Any, screen: int) -> None:
        self.node, self.screen = node, screen
        self.over = threading.Event()

    def keep(self) -> None:
        """Look until it is over."""
        while not self.over.wait(_EVERY):
            self.look()

    def look(self) -> None:
        """End this process if Ray is dead and nobody has stopped the command."""
        for name, process in self.node.dead_processes():
            if name not in _WITHOUT_WHICH:
                continue
            code = process.returncode
            if code not in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
                self.over.wait(_MEANT)
            if not exit_status() and not self.over.is_set():
                for _, other in self.node.live_processes():
                    with contextlib.suppress(OSError):
                        other.kill()
                _end(name, code, self.screen)


def _end(name: str, code: int, screen: int) -> NoReturn:
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
    os.write(screen, f"{line}\n".encode())
    os._exit(2)
