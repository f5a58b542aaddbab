import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from wsvis.errors import InputError
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.store.leases import lease
from wsvis_platform.store.store import CorruptEntryError, Store

KEY = "0123456789abcdef"


def payload(value=1.0):
    return Payload({"a": np.full((2, 3), value, np.float32)}, {"note": "ä", "n": [1, None]})


def complete(store, items=("v1", "v2"), key=KEY):
    for item in items:
        store.stage_item("flow", key, item, payload())
    return store.commit("flow", key, {"settings": {}}, 1.0)


def test_payload_survives_the_round_trip_and_its_bytes_depend_on_content_only():
    first = Payload({"b": np.arange(3), "a": np.zeros((0, 2), np.float16)}, {"y": 1, "x": None})
    second = Payload({"a": np.zeros((0, 2), np.float16), "b": np.arange(3)}, {"x": None, "y": 1})
    assert to_bytes(first) == to_bytes(second)
    back = from_bytes(to_bytes(first))
    np.testing.assert_array_equal(back.arrays["b"], [0, 1, 2])
    assert back.arrays["a"].shape == (0, 2)
    assert back.arrays["a"].dtype == np.float16
    assert back.data == {"x": None, "y": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"12345678", b"\xff" * 8 + b"{}", to_bytes(payload())[:-1], b"\x02" + b"\0" * 7 + b"[]"],
)
def test_bytes_that_are_no_payload_are_refused(content):
    with pytest.raises(ValueError, match="safetensors"):
        from_bytes(content)


def test_an_entry_is_invisible_until_it_is_committed_and_then_reads_back(tmp_path):
    store = Store(tmp_path)
    store.stage_item("flow", KEY, "v1", payload(3))
    assert store.manifest("flow", KEY) is None
    assert store.staged("flow", KEY) == {"v1"}
    manifest = store.commit("flow", KEY, {"data": "d"}, 2.0)
    assert manifest.items.keys() == {"v1"}
    assert manifest.coverage == 1.0
    assert store.manifest("flow", KEY) == manifest
    np.testing.assert_array_equal(store.read("flow", KEY, "v1").arrays["a"], np.full((2, 3), 3))
    assert store.staged("flow", KEY) == set()


def test_quarantined_videos_are_named_with_their_reason_and_count_in_coverage(tmp_path):
    store = Store(tmp_path)
    store.stage_item("flow", KEY, "good", payload())
    store.quarantine("flow", KEY, "bad/one.mp4", "bad/one.mp4: cut off; copy it again")
    manifest = store.commit("flow", KEY, {}, 0)
    assert manifest.quarantined == {"bad/one.mp4": "bad/one.mp4: cut off; copy it again"}
    assert manifest.coverage == 0.5
    with pytest.raises(KeyError):
        store.read("flow", KEY, "bad/one.mp4")


@pytest.mark.parametrize("name", ["plain", "a/b", "..", "dot.mp4", "späße", "100%", "w whole"])
def test_any_video_id_is_a_file_inside_the_entry(tmp_path, name):
    store = Store(tmp_path)
    complete(store, (name,))
    assert list(store.manifest("flow", KEY).items) == [name]
    assert store.read("flow", KEY, name).data["note"] == "ä"
    entry = tmp_path / "objects" / "flow" / KEY
    assert sorted(p.parent for p in tmp_path.rglob("*.safetensors")) == [entry]


def test_every_single_changed_byte_is_detected(tmp_path):
    store = Store(tmp_path)
    complete(store, ("v1",))
    path = next(tmp_path.rglob("v1.safetensors"))
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        with pytest.raises(CorruptEntryError):
            Store(tmp_path).read("flow", KEY, "v1")
    path.write_bytes(content)
    assert Store(tmp_path).read("flow", KEY, "v1").data["note"] == "ä"


def test_a_corrupt_item_is_dropped_and_the_others_are_kept(tmp_path):
    store = Store(tmp_path)
    complete(store)
    next(tmp_path.rglob("v1.safetensors")).write_bytes(b"torn")
    assert store.corrupt_items("flow", KEY) == ["v1"]
    store.reopen("flow", KEY, ["v1"])
    assert store.manifest("flow", KEY) is None
    assert store.staged("flow", KEY) == {"v2"}


def test_a_manifest_that_was_tampered_with_vouches_for_nothing(tmp_path):
    store = Store(tmp_path)
    complete(store)
    path = next(tmp_path.rglob("manifest.json"))
    content = json.loads(path.read_text())
    content["items"].pop("v2")
    path.write_text(json.dumps(content))
    assert Store(tmp_path).manifest("flow", KEY) is None


def test_a_store_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="--output") as error:
        Store(tmp_path / "file" / "store")
    assert "\n" not in str(error.value)


def _compute_once(root, log, hold):
    store = Store(root)
    with lease(store, KEY):
        if store.manifest("flow", KEY) is None:
            with open(log, "a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(hold)
            complete(store)


def test_eight_processes_that_ask_at_once_compute_once(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_compute_once, args=(tmp_path / "s", log, 0.2)) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        assert worker.exitcode == 0
    assert len(log.read_text().splitlines()) == 1


def test_a_killed_holder_does_not_block_the_next(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    holder = context.Process(target=_compute_once, args=(tmp_path / "s", log, 60))
    holder.start()
    for _ in range(200):
        if log.exists() and log.read_text():
            break
        time.sleep(0.02)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    started = time.monotonic()
    _compute_once(tmp_path / "s", log, 0)
    assert time.monotonic() - started < 5
    assert len(log.read_text().splitlines()) == 2
    assert Store(tmp_path / "s").manifest("flow", KEY) is not None
