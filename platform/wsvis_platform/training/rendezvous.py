"""How the workers of one training meet: at an address of their own node, and nowhere else.

torch's rendezvous listens on every network interface, and gloo and NCCL on the interface that the
machine's name leads to. Whoever reaches these ports can disturb a training. Here all three are
bound to the address by which Ray knows the node: on one machine 127.0.0.1, in a cluster the one of
its network.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import ray
import torch.distributed
from ray.train.backend import Backend
from ray.train.torch import TorchConfig
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

_stores: list[TCPStore] = []
"""In the process of worker 0: what the others connect to, for as long as it is needed."""


@dataclass
class NodeTorchConfig(TorchConfig):
    """Ray Train's torch settings, with a rendezvous that only the node's own address offers."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets the process group up, and takes it down."""
        return _NodeTorchBackend


class _NodeTorchBackend(Backend):
    share_cuda_visible_devices = True  # as Ray's own backend: NCCL wants to see the others' GPUs

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        seconds = backend_config.timeout_s
        place = worker_group.execute_single(0, open_store, seconds)
        size = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank, _join, backend_config.backend, place, rank, size, seconds
                )
                for rank in range(size)
            ]
        )

    def on_shutdown(self, worker_group: Any, backend_config: Any) -> None:
        TorchConfig().backend_cls().on_shutdown(worker_group, backend_config)


def open_store(seconds: float) -> tuple[str, int]:
    """Open a rendezvous on this node's own address; where it listens (address, port)."""
    address = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)
    port = listener.getsockname()[1]
    _stores[:] = [
        TCPStore(
            address,
            port,
            is_master=True,
            wait_for_workers=False,
            timeout=timedelta(seconds=seconds),
            master_listen_fd=listener.detach(),
        )
    ]
    return address, port


def interface_of(address: str) -> str:
    """Name of the network interface that has an address; empty where none has it."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address.partition("%")[0] == address for each in addresses):
            return name
    return ""


def _join(backend: str, place: tuple[str, int], rank: int, size: int, seconds: float) -> None:
    if interface := interface_of(ray.util.get_node_ip_address()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={interface}")
    limit = timedelta(seconds=seconds)
    store = _stores[0] if rank == 0 else TCPStore(*place, is_master=False, timeout=limit)
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=limit
    )
