"""Content-addressed store of stage results: written once, verified on every read.

    ROOT/objects/<stage>/<key>/manifest.json + one .safetensors file per item
    ROOT/staging/<stage>/<key>/...            items of an entry that is not complete yet
    ROOT/leases/<key>.lock                    who is computing it (see leases.py)

An item is one video, or ``whole`` for a result over the data set. Items are written to a temporary
name, synced and renamed, so a crash leaves either a whole file or none; the entry appears in
``objects`` by one rename, after every item's checksum is in its manifest. A crashed job therefore
resumes by listing which items are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsvis.data.atomic import write_bytes
from wsvis.errors import InputError
from wsvis.payload import Payload, from_bytes, to_bytes

WHOLE = "whole"
_SUFFIX = ".safetensors"
_QUARANTINED = ".quarantined.json"


class CorruptEntryError(Exception):
    """A stored file does not match its checksum, or is gone."""

    def __init__(self, stage: str, key: str, item: str, reason: str) -> None:
        super().__init__(f"{stage}/{key}/{item}: {reason}")
        self.stage, self.key, self.item, self.reason = stage, key, item, reason

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is rebuilt from its text alone, unless it says how
        return type(self), (self.stage, self.key, self.item, self.reason)


@dataclass(frozen=True)
class Manifest:
    """What an entry holds and where it came from."""

    stage: str
    key: str
    items: dict[str, dict[str, Any]]
    """Item -> {sha256, bytes}."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Video -> the reason why it has no result."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Settings, input keys, data fingerprint, seed."""
    seconds: float = 0.0
    machine: str = ""
    created: str = ""

    @property
    def coverage(self) -> float:
        """Share of the videos that have a result."""
        total = len(self.items) + len(self.quarantined)
        return len(self.items) / total if total else 0.0


class Store:
    """A store below one folder, which may be shared by processes and (over NFS or EFS) by nodes."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self._manifests: dict[tuple[str, str], tuple[int, Manifest]] = {}
        try:
            for name in ("objects", "staging", "leases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.root}: cannot hold the store ({error.strerror}); give another --output"
            ) from None

    # Whole entries

    def manifest(self, stage: str, key: str) -> Manifest | None:
        """The entry's manifest, or ``None`` where there is no complete entry."""
        path = self._entry(stage, key) / "manifest.json"
        try:
            content = json.loads(path.read_text())
            checksum = content.pop("checksum")
            if checksum != _checksum(json.dumps(content, sort_keys=True).encode()):
                raise ValueError("checksum")
            return Manifest(**content)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            # a manifest that cannot be trusted vouches for nothing: keep the files for inspection
            self._set_aside(self._entry(stage, key))
            return None

    def commit(self, stage: str, key: str, origin: Mapping[str, Any], seconds: float) -> Manifest:
        """Turn the staged items into an entry; call with the lease held."""
        staging = self._staging(stage, key)
        items: dict[str, dict[str, Any]] = {}
        quarantined: dict[str, str] = {}
        for path in sorted(staging.iterdir()):
            if path.name.endswith(_QUARANTINED):
                quarantined[_item_of(path, _QUARANTINED)] = json.loads(path.read_text())["reason"]
                path.unlink()
            elif path.name.endswith(_SUFFIX):
                content = path.read_bytes()
                items[_item_of(path, _SUFFIX)] = {
                    "sha256": _checksum(content),
                    "bytes": len(content),
                }
            else:
                path.unlink()  # a temporary file that a killed writer left
        manifest = Manifest(
            stage=stage,
            key=key,
            items=items,
            quarantined=quarantined,
            origin=dict(origin),
            seconds=round(seconds, 3),
            machine=socket.gethostname(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        content = json.loads(json.dumps(asdict(manifest)))
        content["checksum"] = _checksum(json.dumps(content, sort_keys=True).encode())
        write_bytes(staging / "manifest.json", json.dumps(content, indent=1).encode())
        entry = self._entry(stage, key)
        entry.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging, entry)
        _sync_folder(entry.parent)
        return manifest

    def reopen(self, stage: str, key: str, drop: Iterable[str]) -> None:
        """Move a corrupt entry back to staging without the given items, to be completed again."""
        entry, staging = self._entry(stage, key), self._staging(stage, key)
        if not entry.exists():
            return
        if staging.exists():
            shutil.rmtree(staging)
        staging.parent.mkdir(parents=True, exist_ok=True)
        (entry / "manifest.json").unlink(missing_ok=True)
        os.replace(entry, staging)
        for item in drop:
            (staging / _file_name(item, _SUFFIX)).unlink(missing_ok=True)

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
            KeyError: the entry has no such item (a quarantined video).
        """
        manifest = self._cached_manifest(stage, key)
        if manifest is None:
            raise CorruptEntryError(stage, key, item, "the entry is gone")
        expected = manifest.items[item]
        try:
            content = (self._entry(stage, key) / _file_name(item, _SUFFIX)).read_bytes()
        except OSError as error:
            raise CorruptEntryError(stage, key, item, str(error.strerror)) from None
        if len(content) != expected["bytes"] or _checksum(content) != expected["sha256"]:
            raise CorruptEntryError(stage, key, item, "the content differs from its checksum")
        return from_bytes(content)

    def stage_item(self, stage: str, key: str, item: str, payload: Payload) -> int:
        """Write one item of an entry in progress; returns its bytes."""
        content = to_bytes(payload)
        folder = self._staging(stage, key)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / _file_name(item, _SUFFIX), content)
        return len(content)

    def is_staged(self, stage: str, key: str, item: str) -> bool:
        """Whether an item of an entry in progress is written already."""
        return (self._staging(stage, key) / _file_name(item, _SUFFIX)).exists()

    def quarantine(self, stage: str, key: str, item: str, reason: str) -> None:
        """Record why a video has no result; it does not stop the others."""
        folder = self._staging(stage, key)
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"reason": reason}).encode()
        write_bytes(folder / _file_name(item, _QUARANTINED), content)

    def staged(self, stage: str, key: str) -> set[str]:
        """Items already written for an entry in progress.

        Quarantined ones do not count: their cause may be gone (a disk that was full), so a resumed
        job tries them again.
        """
        folder = self._staging(stage, key)
        if not folder.exists():
            return set()
        for path in folder.glob(f"*{_QUARANTINED}"):
            path.unlink()
        return {_item_of(path, _SUFFIX) for path in folder.glob(f"*{_SUFFIX}")}

    def lease_path(self, key: str) -> Path:
        """The lock file of an entry."""
        return self.root / "leases" / f"{key}.lock"

    def _entry(self, stage: str, key: str) -> Path:
        return self.root / "objects" / _safe(stage) / _safe(key)

    def _staging(self, stage: str, key: str) -> Path:
        return self.root / "staging" / _safe(stage) / _safe(key)

    def _cached_manifest(self, stage: str, key: str) -> Manifest | None:
        # one video after another reads the same few manifests: parse each once per process
        try:
            stamp = (self._entry(stage, key) / "manifest.json").stat().st_mtime_ns
        except OSError:
            return None
        cached = self._manifests.get((stage, key))
        if cached and cached[0] == stamp:
            return cached[1]
        manifest = self.manifest(stage, key)
        if manifest:
            self._manifests[stage, key] = (stamp, manifest)
        return manifest

    def _set_aside(self, entry: Path) -> None:
        aside = self.root / "corrupt" / f"{entry.parent.name}-{entry.name}-{time.time_ns()}"
        aside.parent.mkdir(exist_ok=True)
        try:
            os.replace(entry, aside)
        except OSError:
            return  # another process was faster


def _file_name(item: str, suffix: str) -> str:
    # video ids may hold slashes or dots; quoting is reversible and keeps ordinary names readable
    return urllib.parse.quote(item, safe="-_ ").replace(".", "%2E") + suffix


def _item_of(path: Path, suffix: str) -> str:
    return urllib.parse.unquote(path.name.removesuffix(suffix))


def _safe(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"not a stage name or key: {name!r}")
    return name


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
