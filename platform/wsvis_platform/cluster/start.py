"""Start Ray on this machine, closed to every other, or join a running cluster with its token."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsvis.errors import InputError, one_line
from wsvis_platform.cluster.ray_folder import ray_folder
from wsvis_platform.cluster.ray_process import (
    DEFAULTS,
    check_auth_mode,
    environment,
    loopback_only,
    patient_start,
    stderr_to,
    token_known,
    use_token,
)
from wsvis_platform.cluster.ray_watch import watch_over_ray
from wsvis_platform.stopping import signals_stay_ours

_SMALLEST_STORE = 80 * 2**20
_LARGEST_STORE = 2 * 2**30


@dataclass(frozen=True)
class Cluster:
    """What there is to work with."""

    address: str
    """host:port of the head, or ``this machine``."""
    nodes: int
    cpus: int
    gpus: int

    def line(self) -> str:
        """One line for people."""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"Ray on {self.address}: {nodes}, {self.cpus} CPUs, {self.gpus} GPUs"


@contextlib.contextmanager
def start_ray(
    address: str | None = None,
    num_cpus: int | None = None,
    *,
    num_gpus: int | None = None,
    log_to_driver: bool = False,
) -> Iterator[Cluster]:
    """Ray for the time of a ``with`` block.

    Without an address Ray starts on this machine: every port on 127.0.0.1, no dashboard, a token of
    its own, files in a private folder that is removed at the end (and kept, named in the error's
    notes, when the block fails for a reason other than bad input). RAY_ADDRESS does not change
    that: only the argument joins a cluster. With one it joins that cluster and leaves it running.
    Where Ray is started already, it is used and left as it is.

    Args:
        address: ``host:port`` of a running cluster's head, or ``auto`` on a machine of it.
        num_cpus: CPUs to use on this machine; default all. Not used when joining.
        num_gpus: GPUs likewise.
        log_to_driver: show what workers print.

    Raises:
        InputError: the cluster cannot be reached or refuses; one line.
    """
    check_auth_mode()
    import ray

    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        yield _describe(address or "this machine")
        return
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    if address:
        with _joined(address, log_to_driver):
            yield _describe(address)
    else:
        with _local(num_cpus, num_gpus, log_to_driver):
            yield _describe("this machine")


@contextlib.contextmanager
def _local(num_cpus: int | None, num_gpus: int | None, log_to_driver: bool) -> Iterator[None]:
    import ray

    if not token_known():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    use_token()
    # PYTHONPATH is inherited by workers; as a runtime_env it would cost each a second
    with (
        ray_folder() as folder,
        loopback_only(),
        environment(PYTHONPATH=worker_path(os.environ)),
    ):
        try:
            try:
                with signals_stay_ours(), patient_start():
                    ray.init(
                        address="local",
                        num_cpus=num_cpus,
                        num_gpus=num_gpus,
                        include_dashboard=False,
                        object_store_memory=object_store_bytes(),
                        log_to_driver=log_to_driver,
                        logging_level=logging.ERROR,
                        _temp_dir=str(folder),
                    )
            except Exception as error:
                raise InputError(
                    f"Ray cannot be started on this machine ({one_line(str(error), 250)}); see "
                    "whether memory, processes and processors are free, and run the same again"
                ) from error
            with watch_over_ray():
                yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _joined(address: str, log_to_driver: bool) -> Iterator[None]:
    import ray

    _check_address(address)
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token" and not token_known():
        raise InputError(
            f"--address {address}: no token to join with; copy the cluster's ~/.ray/auth_token to "
            "this machine or name its copy in RAY_AUTH_TOKEN_PATH"
        )
    use_token()
    packages = [str(folder) for folder in package_folders()]
    with tempfile.TemporaryFile("w+") as output:
        try:
            # three seconds of attempts; the log lines of each go to the error, not to the screen
            with (
                environment(RAY_gcs_server_port_wait_time_s="3"),
                stderr_to(output.fileno()),
                signals_stay_ours(),
            ):
                ray.init(
                    address=address,
                    log_to_driver=log_to_driver,
                    logging_level=logging.ERROR,
                    # workers run the driver's own code, whatever is installed on their nodes
                    runtime_env={"py_modules": packages, "excludes": ["__pycache__"]},
                )
        except Exception as error:
            output.seek(0)
            if "InvalidAuthToken" in output.read():
                cure = "its token is another one; copy its ~/.ray/auth_token to this machine"
            else:
                cure = f"{' '.join(str(error).split())[:300]}; its nodes need this Python and Ray"
            raise InputError(f"--address {address}: the cluster refused, {cure}") from error
    try:
        yield
    finally:
        ray.shutdown()


def package_folders() -> tuple[Path, Path]:
    """The folders of wsvis and wsvis_platform that this process runs."""
    import wsvis

    return Path(wsvis.__file__).parent, Path(__file__).resolve().parents[1]


def worker_path(inherited: Mapping[str, str]) -> str:
    """PYTHONPATH for workers on this machine: the very files the driver runs, installed or not."""
    roots = [str(folder.parent) for folder in package_folders()]
    before = inherited.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*roots, *filter(None, before)]))


def object_store_bytes() -> int:
    """Shared memory for Ray's objects: a tenth of what is free, 80 MB to 2 GB.

    What we send is small: settings, labels, keys; arrays go through the store on disk.
    """
    import psutil

    size = max(min(psutil.virtual_memory().available // 10, _LARGEST_STORE), _SMALLEST_STORE)
    with contextlib.suppress(OSError):
        # containers often have 64 MB here; Ray then falls back to files, and says so itself
        free = int(shutil.disk_usage("/dev/shm").free * 0.9)
        if _SMALLEST_STORE <= free < size:
            return free
    return size


def _check_address(address: str) -> None:
    if "://" in address:
        raise InputError(
            f"--address {address}: Ray Client is not supported; run the command on the head node "
            "with --address auto, or give host:port"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"--address {address}: give host:port, such as 10.0.0.5:6379, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(
            f"--address {address}: no cluster answers ({error}); start it with 'ray up "
            "cluster.yaml' or leave --address out to run on this machine"
        ) from None


def _describe(address: str) -> Cluster:
    import ray

    have: dict[str, Any] = ray.cluster_resources()
    alive = sum(bool(node["Alive"]) for node in ray.nodes())
    return Cluster(address, alive, int(have.get("CPU", 0)), int(have.get("GPU", 0)))
