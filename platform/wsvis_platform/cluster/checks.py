"""Checks before any work: can results be written, is there room, do all nodes see them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from wsvis.errors import InputError


def preflight(output: Path, *, needed_gb: float = 1.0) -> str:
    """Check, before any work, that results can be written and that every node sees them.

    Args:
        output: folder of the run; made when absent.
        needed_gb: free space asked for, in gigabytes (1e9 bytes).

    Returns:
        One line that says what there is.

    Raises:
        InputError: the folder cannot be written, the disk is too full, or a node does not share it.
    """
    import ray

    try:
        output.mkdir(parents=True, exist_ok=True)
        mark, name = tempfile.mkstemp(prefix=".preflight-", dir=output)
        os.close(mark)
    except OSError as error:
        raise InputError(
            f"--output {output}: cannot be written ({error.strerror}); give another folder"
        ) from None
    try:
        free = shutil.disk_usage(output).free / 1e9
        if free < needed_gb:
            raise InputError(
                f"--output {output}: {free:.1f} GB are free and {needed_gb:g} GB needed; free some "
                "space or give another folder"
            )
        line = f"{free:.0f} GB free under {output}; Python {sys.version.split()[0]}"
        if ray.is_initialized():
            _check_nodes(output, Path(name).resolve())
    finally:
        Path(name).unlink(missing_ok=True)
    return line


def check_output(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, without making it.

    Raises:
        InputError: one line that names what is in the way.
    """
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"--output: {existing} is no folder; give another")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--output: {existing} cannot be written; give another folder")


def _check_nodes(output: Path, mark: Path) -> None:
    """Every node must see the file that this one has just made."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    driver_node = ray.get_runtime_context().get_node_id()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != driver_node]

    @ray.remote(num_cpus=0)
    def sees() -> bool:
        return mark.exists()

    asked = [
        sees.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(n["NodeID"], False)
        ).remote()
        for n in nodes
    ]
    blind = [
        node["NodeManagerAddress"]
        for node, seen in zip(nodes, ray.get(asked), strict=True)
        if not seen
    ]
    if blind:
        raise InputError(
            f"--output {output}: not seen from {', '.join(blind)}; give a folder on a file system "
            "that all nodes share"
        )
