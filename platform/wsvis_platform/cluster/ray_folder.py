"""Where Ray keeps its sockets and logs: a folder of this user alone, removed when its run is over.

Ray opens its own folder to every user of the machine (0777), so that others could move its sockets
and put theirs in their place. It therefore gets a folder inside one that nobody else may enter. A
run that was killed cannot clean up; the next start does, and knows a dead run by its lock, which
the kernel frees however its holder dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wsvis.errors import InputError

PREFIX = "wsvis-ray-"
_LOCK = "lock"
_INSIDE = "r"
"""What Ray gets: it opens this one to all."""
_LONGEST = 107 - len("/session_2026-01-31_23-59-59_123456_1234567/sockets/plasma_store")
"""Letters that Ray leaves of the 107 that the path of a socket may have."""


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """A folder for Ray in a private one (0700), removed at the end, and those of dead runs before.

    Where the block fails for a reason other than bad input, it stays for inspection and the error's
    notes name it.

    Raises:
        InputError: no folder with a path short enough for Ray's sockets can be written; one line.
    """
    places = _places()
    for place in places:
        _remove_dead(place)
    private = _new_private_folder(places)
    inside = private / _INSIDE
    inside.mkdir(mode=0o700)
    lock = _locked(private)
    keep = False
    try:
        yield inside
    except InputError:
        raise
    except Exception as error:
        keep = True
        error.add_note(f"Ray's logs are in {private}")
        raise
    finally:
        if keep:
            (private / _LOCK).unlink(missing_ok=True)  # what has no lock is nobody's to remove
        else:
            shutil.rmtree(private, ignore_errors=True)
        os.close(lock)


def _places() -> list[Path]:
    """Folders to try, /tmp first: a TMPDIR often has too long a path for sockets."""
    given = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    candidates = ["/tmp", *given, "/var/tmp", "/dev/shm"]
    usable = [Path(name) for name in dict.fromkeys(candidates) if name and os.path.isabs(name)]
    longest = _LONGEST - len(f"/{PREFIX}12345678/{_INSIDE}")
    return [place for place in usable if len(os.fsencode(place)) <= longest]


def _new_private_folder(places: list[Path]) -> Path:
    reason = ""
    for place in places:
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            reason = reason or f"{place}: {error.strerror}"
    raise InputError(
        f"no folder can be made for Ray's sockets ({reason}); make /tmp writable, or name in "
        "TMPDIR a folder with a short path that is"
    )


def _locked(private: Path) -> int:
    """Hold the folder's lock; it gets its name when it is held, so nobody finds it free."""
    new = private / "lock-new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(new, private / _LOCK)
    return descriptor


def _remove_dead(place: Path) -> None:
    """Remove this user's Ray folders whose run is over; those of live runs and others stay."""
    with contextlib.suppress(OSError):
        for folder in sorted(place.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):
                about = folder.lstat()
                if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
                    _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder / _INSIDE, ignore_errors=True)
        # what a dying Ray still writes is left to the next start, which needs the lock to see it
        if not (folder / _INSIDE).exists():
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
