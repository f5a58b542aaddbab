"""Which code and which libraries a result came from."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import wsvis

LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pycocotools",
    "ray",
    "optuna",
    "mlflow",
)
"""Those whose version could change a number or a search."""


@functools.cache
def library_versions() -> dict[str, str]:
    """Name -> version of Python and of the libraries a result depends on."""
    versions = {"python": platform.python_version()}
    for name in ("wsvis", *LIBRARIES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def git_state(folder: Path | None = None) -> dict[str, str]:
    """``commit`` and ``dirty`` (true, false) of the running code; both ``unknown`` without git.

    Args:
        folder: the checkout; the one wsvis was imported from by default. Only a repository that
            tracks the code counts: an environment inside another project's repository does not.
    """
    root = folder or Path(wsvis.__file__).resolve().parents[1]
    try:
        _git(root, "ls-files", "--error-unmatch", "wsvis/__init__.py")
        commit = _git(root, "rev-parse", "HEAD").strip()
        changes = _git(root, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": "unknown"}
    return {"commit": commit, "dirty": "true" if changes.strip() else "false"}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
