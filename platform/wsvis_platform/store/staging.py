"""Items of an entry that is not complete yet: a folder in which a killed run finds its results.

    <video>.safetensors          a result, written whole or not at all
    <video>.quarantined.json     why a video has none
    <video>.attempt              a line for each process that began with the video and did not end
    omitted.json                 which videos the results before lacked (see still_true.py)
    manifest.json                only while an entry is moved in or out

Whatever else lies there was left by somebody who was killed, or does not belong: it is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsvis.files.atomic import write_bytes
from wsvis_platform.store.manifest import Reason, checksum_of, read_manifest

SUFFIX = ".safetensors"
MANIFEST = "manifest.json"
_QUARANTINED = ".quarantined.json"
_ATTEMPT = ".attempt"
_OMITTED = "omitted.json"


class Staging:
    """The folder of one entry in progress. What changes it as a whole needs the entry's lease."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, omitted: Sequence[str]) -> None:
        """Make it sound: finish a reopening that was cut off, remove what does not belong.

        Args:
            omitted: videos that the results before lack; items made when it were others are
                dropped, as they would come out differently now.
        """
        make_folder(self.folder)
        self._settle()
        names = json.dumps(sorted(omitted)).encode()
        before = self.folder / _OMITTED
        if before.is_file() and before.read_bytes() != names:
            clear_away(self.folder)
        make_folder(self.folder)
        for path in self.folder.iterdir():
            known = path.name.endswith((SUFFIX, _QUARANTINED, _ATTEMPT))
            if not known or path.is_symlink() or not path.is_file():
                clear_away(path)
        write_bytes(before, names)

    def _settle(self) -> None:
        """Drop what an entry that was moved here cannot vouch for, then its manifest."""
        path = self.folder / MANIFEST
        if not os.path.lexists(path):
            return
        manifest = read_manifest(path, self.folder.parent.name, self.folder.name)
        for file in self.folder.glob(f"*{SUFFIX}"):
            expected = manifest.items.get(item_of(file, SUFFIX)) if manifest else None
            plain = file.is_file() and not file.is_symlink()
            checksum = checksum_of(file.read_bytes()) if plain and expected else ""
            if not expected or checksum != expected["sha256"]:
                clear_away(file)
        clear_away(path)  # last: whoever is killed before begins again

    def items(self) -> set[str]:
        """Items that have a result."""
        return {item_of(path, SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")}

    def has(self, item: str) -> bool:
        """Whether an item has a result."""
        return self.path(item).is_file()

    def write(self, item: str, content: bytes) -> None:
        """A result; it is there whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path(item), content)

    def path(self, item: str) -> Path:
        """The file of an item's result."""
        return self.folder / file_name(item)

    def reasons(self) -> dict[str, Reason]:
        """Video -> why it has no result."""
        reasons: dict[str, Reason] = {}
        for path in sorted(self.folder.glob(f"*{_QUARANTINED}")):
            # a record that cannot be read says nothing: the video is tried again
            with contextlib.suppress(ValueError, RecursionError, FileNotFoundError):
                reasons[item_of(path, _QUARANTINED)] = Reason.parse(json.loads(path.read_bytes()))
        return reasons

    def set_aside(self, item: str, reason: Reason) -> None:
        """Record why a video has no result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(reason.plain()).encode()
        write_bytes(self.folder / file_name(item, _QUARANTINED), content)

    def forget(self, item: str) -> None:
        """Drop the reason of a video and the deaths at it, so that it is tried again."""
        for suffix in (_QUARANTINED, _ATTEMPT):
            clear_away(self.folder / file_name(item, suffix))

    @contextlib.contextmanager
    def attempt(self, item: str) -> Iterator[None]:
        """Leave a mark that only the death of this process keeps from being removed."""
        mark = self.folder / file_name(item, _ATTEMPT)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(mark, "ab") as file:  # one more line; those before are of processes that died
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                mark.unlink()

    def deaths(self, item: str) -> int:
        """How many processes began with a video and died."""
        try:
            return (self.folder / file_name(item, _ATTEMPT)).read_bytes().count(b"\n")
        except OSError:
            return 0


def file_name(item: str, suffix: str = SUFFIX) -> str:
    """The file name of an item: quoting is reversible and keeps ordinary names readable."""
    return urllib.parse.quote(item, safe="-_ ").replace(".", "%2E") + suffix


def item_of(path: Path, suffix: str) -> str:
    """The inverse of :func:`file_name`."""
    return urllib.parse.unquote(path.name.removesuffix(suffix))


def make_folder(folder: Path) -> None:
    """A folder, and the one it lies in, in place of whatever else stands there."""
    if not folder.parent.is_dir():  # a link to a folder of another disk is one
        clear_away(folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() or not folder.is_dir():
        clear_away(folder)
    folder.mkdir(exist_ok=True)


def clear_away(path: Path) -> None:
    """Remove a file, link or folder; that there is none is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
