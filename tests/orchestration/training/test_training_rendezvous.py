"""Workers meet at their node's own address: no other network sees the meeting point."""

import os

import psutil
import pytest
import ray
from torch.distributed import TCPStore

from wsvis_platform.training import rendezvous as training_rendezvous
from wsvis_platform.training.rendezvous import interface_of, open_store


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_the_rendezvous_listens_at_the_nodes_address_only(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: address)
    place, port = open_store(30.0)
    try:
        assert place == address
        listening = [
            each.laddr
            for each in psutil.Process(os.getpid()).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port
        ]
        assert [each.ip for each in listening] == [address]
        other = TCPStore(place, port, is_master=False)
        other.set("who", "me")
        assert training_rendezvous._stores[0].get("who") == b"me"
    finally:
        training_rendezvous._stores.clear()


def test_the_interface_of_an_address_is_the_one_that_has_it():
    loopback = interface_of("127.0.0.1")
    assert any(each.address == "127.0.0.1" for each in psutil.net_if_addrs()[loopback])
    assert interface_of("192.0.2.1") == ""  # reserved for documentation: nobody has it
