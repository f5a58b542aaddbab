"""``wsvis doctor``: what this machine has, and what would make a run fail; one line each."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path

_LIBRARIES = ("torch", "torchvision", "numpy", "opencv-python-headless", "ray", "mlflow", "optuna")
_LEAST_MEMORY_GB, _LEAST_DISK_GB, _LEAST_SHM_MB = 4, 5, 256


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    sound: bool
    text: str
    cure: str = ""
    """What to do, where it is not sound."""

    def line(self) -> str:
        """One line for people."""
        mark = "ok  " if self.sound else "bad "
        return f"{mark} {self.subject:<10} {self.text}{'; ' + self.cure if self.cure else ''}"


def doctor(*, output: str = "runs", json: bool = False) -> None:
    """Look at this machine: versions, cores, memory, disk, GPU, cached weights, rights.

    Ends with status 1 where something would make a run fail.

    Args:
        output: folder that results would go to.
        json: print JSON instead of lines.
    """
    findings = [check(output) for check in _CHECKS]
    if json:
        print(dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print("\n".join(finding.line() for finding in findings))
    if not all(finding.sound for finding in findings):
        raise SystemExit(1)


def _versions(output: str) -> Finding:
    versions = {name: _version(name) for name in _LIBRARIES}
    absent = [name for name, version in versions.items() if not version]
    text = f"Python {sys.version.split()[0]}, " + ", ".join(
        f"{name} {version}" for name, version in versions.items() if version
    )
    cure = f"{', '.join(absent)} not installed: pip install wsvis again" if absent else ""
    return Finding("versions", not absent, text, cure)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _machine(output: str) -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    text = f"{os.cpu_count()} cores, {free:.1f} of {memory.total / 1e9:.1f} GB of memory free"
    sound = free >= _LEAST_MEMORY_GB
    return Finding(
        "machine", sound, text, "" if sound else f"end other programs: {_LEAST_MEMORY_GB} GB help"
    )


def _disk(output: str) -> Finding:
    folder = Path(output).expanduser().absolute()
    existing = next(f for f in (folder, *folder.parents) if f.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free / 1e9
    except OSError as error:
        return Finding("disk", False, f"{existing}: {error.strerror}", "give another --output")
    sound = free >= _LEAST_DISK_GB
    cure = "" if sound else f"free some: {_LEAST_DISK_GB} GB serve some hundred short videos"
    return Finding("disk", sound, f"{free:.0f} GB free under {existing}", cure)


def _shared_memory(output: str) -> Finding:
    try:
        free = shutil.disk_usage("/dev/shm").free / 1e6
    except OSError:
        return Finding("/dev/shm", True, "absent; Ray uses files instead")
    sound = free >= _LEAST_SHM_MB
    cure = "" if sound else "Ray uses files instead, slower; in docker: --shm-size 2g"
    return Finding("/dev/shm", True, f"{free:.0f} MB free", cure)


def _gpu(output: str) -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", True, "none that PyTorch can use; everything runs on CPUs")
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    try:
        # a driver that is too old, or a card too new, shows only when a kernel runs
        total = float((torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")).sum())
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        return Finding("GPU", False, f"{', '.join(names)}: {reason}", "install a fitting PyTorch")
    sound = total == 64.0**3
    return Finding("GPU", sound, f"{', '.join(names)}; CUDA {torch.version.cuda}, a kernel ran")


def _weights(output: str) -> Finding:
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    names = sorted(p.name for p in folder.glob("*.pth")) if folder.is_dir() else []
    text = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") if names else "none yet"
    return Finding("weights", True, f"downloaded to {folder}: {text}")


_CHECKS: tuple[Callable[[str], Finding], ...] = (
    _versions,
    _machine,
    _disk,
    _shared_memory,
    _gpu,
    _weights,
)
