"""Content-addressed store of stage results: written once, verified on every read.

    ROOT/objects/<stage>/<key>/manifest.json + one .safetensors file per item
    ROOT/staging/<stage>/<key>/...            items of an entry in progress (see staging.py)
    ROOT/leases/<key>.lock                    who is computing it (see leases.py)

An item is one video, or ``whole`` for a result over the data set. Items are written to a temporary
name, synced and renamed, so a crash leaves either a whole file or none; the entry appears in
``objects`` by one rename, after every item's checksum is in its manifest, and leaves it by one. A
crashed job therefore resumes by listing which items are missing. What stands in the place of an
entry without a manifest that can be trusted is none: it is made again, and the old is kept below
``corrupt`` for inspection.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsvis.errors import InputError
from wsvis.files.atomic import write_bytes
from wsvis.passing_faults import is_passing, passing_fault
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.store.manifest import (
    CorruptEntryError,
    Manifest,
    Reason,
    checksum_of,
    read_manifest,
)
from wsvis_platform.store.staging import (
    MANIFEST,
    SUFFIX,
    Staging,
    clear_away,
    file_name,
    make_folder,
)

__all__ = ["WHOLE", "CorruptEntryError", "Manifest", "Store"]

WHOLE = "whole"


class Store:
    """A store below one folder, which may be shared by processes and (over NFS or EFS) by nodes."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self._manifests: dict[tuple[str, str], tuple[tuple[int, ...], Manifest]] = {}
        try:
            for name in ("objects", "staging", "leases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.root}: cannot hold the store ({error.strerror}); give another --output"
            ) from None

    # Whole entries

    def manifest(self, stage: str, key: str) -> Manifest | None:
        """The entry's manifest, or ``None`` where there is no complete entry.

        Raises:
            PassingFault: it cannot be read, which does not mean that it is damaged.
        """
        path = self._entry(stage, key) / MANIFEST
        try:
            about = path.stat()
            # one video after another asks for the same few manifests: parse each once per process
            stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
            cached = self._manifests.get((stage, key))
            if cached and cached[0] == stamp:
                return cached[1]
            manifest = read_manifest(path, stage, key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if path.is_symlink():
                return None
            raise passing_fault(str(path), error) from None
        if manifest:
            self._manifests[stage, key] = (stamp, manifest)
        return manifest

    def commit(self, stage: str, key: str, origin: Mapping[str, Any], seconds: float) -> Manifest:
        """Turn the staged items into an entry; call with the lease held.

        Raises:
            InputError: there is no item; an entry without any result is worth nothing.
        """
        staging = self.staging(stage, key)
        items: dict[str, dict[str, Any]] = {}
        for item in sorted(staging.items()):
            content = staging.path(item).read_bytes()
            items[item] = {"sha256": checksum_of(content), "bytes": len(content)}
        reasons = {v: reason for v, reason in staging.reasons().items() if v not in items}
        if not items:
            first = next((reason.text for reason in reasons.values()), "the data set has no video")
            raise InputError(f"no video is left after stage {stage!r}; first: {first}"[:500])
        manifest = Manifest(
            stage=stage,
            key=key,
            items=items,
            quarantined={video: reason.text for video, reason in reasons.items()},
            causes={
                video: {"kind": reason.kind, "fingerprint": reason.fingerprint}
                for video, reason in reasons.items()
            },
            origin=dict(origin),
            seconds=round(seconds, 3),
            machine=socket.gethostname(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        write_bytes(staging.folder / MANIFEST, manifest.to_bytes())
        for path in staging.folder.iterdir():
            if path.name != MANIFEST and not path.name.endswith(SUFFIX):
                clear_away(path)
        entry = self._entry(stage, key)
        self._make_way(entry)
        os.replace(staging.folder, entry)
        _sync_folder(entry.parent)
        return manifest

    def reopen(
        self, stage: str, key: str, drop: Iterable[str] = (), again: Iterable[str] = ()
    ) -> None:
        """Move an entry back to staging, to be completed again; call with the lease held.

        Args:
            stage: of the entry.
            key: of the entry.
            drop: items whose file is not what was written.
            again: videos whose reason is dropped, so that they are tried again.
        """
        manifest = self.manifest(stage, key)
        if manifest is None:
            return
        staging = self.staging(stage, key)
        clear_away(staging.folder)
        make_folder(staging.folder.parent)
        os.replace(self._entry(stage, key), staging.folder)
        # Killed here, the manifest says what can be trusted, and the reasons are found out again.
        retried = set(again)
        for video, reason in manifest.reasons().items():
            if video not in retried:
                staging.set_aside(video, reason)
        for item in drop:
            clear_away(staging.path(item))
        staging.begin(manifest.origin.get("omitted", []))

    def discard(self, stage: str, key: str) -> None:
        """Remove an entry that is no longer true; call with the lease held."""
        entry = self._entry(stage, key)
        removed = self.root / "removed"
        removed.mkdir(exist_ok=True)
        if os.path.lexists(entry):
            # by one rename: nobody may meet half an entry
            os.replace(entry, removed / f"{stage}-{key}-{secrets.token_hex(4)}")
        shutil.rmtree(removed, ignore_errors=True)

    def corrupt_items(self, stage: str, key: str) -> list[str]:
        """Items whose file is gone or differs from its checksum."""
        manifest = self.manifest(stage, key)
        bad: list[str] = []
        for item in manifest.items if manifest else ():
            try:
                self.read(stage, key, item)
            except CorruptEntryError:
                bad.append(item)
        return bad

    # Items

    def read(self, stage: str, key: str, item: str = WHOLE) -> Payload:
        """One item of a complete entry, its checksum verified.

        Raises:
            CorruptEntryError: the file is gone or differs from what was written.
            PassingFault: it cannot be read at the moment.
            KeyError: the entry has no such item (a quarantined video).
        """
        manifest = self.manifest(stage, key)
        if manifest is None:
            raise CorruptEntryError(stage, key, item, "the entry is gone")
        expected = manifest.items[item]
        path = self._entry(stage, key) / file_name(item)
        try:
            content = path.read_bytes()
        except OSError as error:
            if is_passing(error):
                raise passing_fault(str(path), error) from None
            raise CorruptEntryError(stage, key, item, str(error.strerror)) from None
        if len(content) != expected["bytes"] or checksum_of(content) != expected["sha256"]:
            raise CorruptEntryError(stage, key, item, "the content differs from its checksum")
        try:
            return from_bytes(content)
        except ValueError as error:
            raise CorruptEntryError(stage, key, item, str(error)) from None

    def stage_item(self, stage: str, key: str, item: str, payload: Payload) -> int:
        """Write one item of an entry in progress; returns its bytes.

        Raises:
            PassingFault: there is no room for it, or the disk does not answer.
        """
        content = to_bytes(payload)
        staging = self.staging(stage, key)
        try:
            staging.write(item, content)
        except (OSError, InputError) as error:
            raise passing_fault(str(staging.path(item)), error) from error
        return len(content)

    def is_staged(self, stage: str, key: str, item: str) -> bool:
        """Whether an item of an entry in progress is written already."""
        return self.staging(stage, key).has(item)

    def quarantine(
        self,
        stage: str,
        key: str,
        item: str,
        reason: str,
        kind: str = "",
        fingerprint: str = "",
    ) -> None:
        """Record why a video has no result; it does not stop the others.

        Args:
            stage: of the entry in progress.
            key: of the entry in progress.
            item: the video.
            reason: one line.
            kind: one of ``store_manifest.KINDS``.
            fingerprint: of the video's files: when they change, the reason is void.
        """
        self.staging(stage, key).set_aside(item, Reason(reason, kind, fingerprint))

    def staged(self, stage: str, key: str, omitted: Sequence[str] = ()) -> set[str]:
        """Begin or resume an entry, with the lease held: the items that it has already.

        Args:
            stage: of the entry.
            key: of the entry.
            omitted: videos that the results before lack.
        """
        staging = self.staging(stage, key)
        staging.begin(omitted)
        return staging.items()

    def staging(self, stage: str, key: str) -> Staging:
        """The folder of an entry in progress."""
        return Staging(self.root / "staging" / _safe(stage) / _safe(key))

    def entries(self, part: str) -> list[tuple[str, str]]:
        """Stage and key of everything below ``objects`` or ``staging``, in order."""
        names: list[tuple[str, str]] = []
        for path in sorted((self.root / part).glob("*/*")):
            if _NAME.fullmatch(path.name) and _NAME.fullmatch(path.parent.name):
                names.append((path.parent.name, path.name))
        return names

    def lease_path(self, key: str) -> Path:
        """The lock file of an entry."""
        return self.root / "leases" / f"{key}.lock"

    def _entry(self, stage: str, key: str) -> Path:
        return self.root / "objects" / _safe(stage) / _safe(key)

    def _make_way(self, entry: Path) -> None:
        """Move aside what stands where an entry has to appear: nothing there can be trusted."""
        for path, right in ((entry.parent, entry.parent.is_dir()), (entry, False)):
            if os.path.lexists(path) and not right:
                aside = self.root / "corrupt" / f"{path.parent.name}-{path.name}-{time.time_ns()}"
                aside.parent.mkdir(exist_ok=True)
                os.replace(path, aside)
        entry.parent.mkdir(parents=True, exist_ok=True)


_NAME = re.compile(r"[a-z0-9_]+")


def _safe(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a stage name or key: {name!r}")
    return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
