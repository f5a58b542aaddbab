"""Whatever stands in the place of an entry, the stage is made again and nothing is poisoned."""

import json
import os
import shutil

import numpy as np
import pytest

from wsvis.errors import InputError
from wsvis.passing_faults import PassingFault
from wsvis.payload import Payload
from wsvis_platform.store import staging as staging_module
from wsvis_platform.store.leases import lease
from wsvis_platform.store.manifest import _content_checksum
from wsvis_platform.store.store import CorruptEntryError, Store

KEY = "0123456789abcdef"


def complete(store, value=1.0):
    store.staged("flow", KEY)
    for item in ("v1", "v2"):
        store.stage_item("flow", KEY, item, Payload({"a": np.full(3, value)}))
    store.quarantine("flow", KEY, "v3", "cut off", "bad input", "f" * 8)
    return store.commit("flow", KEY, {"omitted": []}, 1.0)


def entry(tmp_path):
    return tmp_path / "objects" / "flow" / KEY


def _signed(change):
    def spoil(folder):
        path = folder / "manifest.json"
        content = json.loads(path.read_text())
        content.pop("checksum")
        change(content)
        path.write_text(json.dumps({**content, "checksum": _content_checksum(content)}))

    return spoil


def _text(text):
    return lambda folder: (folder / "manifest.json").write_text(text)


def _replaced(make):
    def spoil(folder):
        (folder / "manifest.json").unlink()
        make(folder / "manifest.json")

    return spoil


DAMAGES = {
    "gone": _replaced(lambda path: None),
    "folder": _replaced(lambda path: path.mkdir()),
    "full folder": _replaced(lambda path: (path / "x").mkdir(parents=True)),
    "link in a circle": _replaced(lambda path: path.symlink_to(path)),
    "link to nothing": _replaced(lambda path: path.symlink_to("absent")),
    "pipe": _replaced(os.mkfifo),
    "empty": _text(""),
    "null": _text("null"),
    "list": _text("[]"),
    "number": _text("5"),
    "nested": _text("[" * 100_000),
    "bytes": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\0"),
    "items a list": _signed(lambda c: c.update(items=["v1"])),
    "item a number": _signed(lambda c: c["items"].update(v1=3)),
    "checksum a number": _signed(lambda c: c["items"]["v1"].update(sha256=3)),
    "bytes a text": _signed(lambda c: c["items"]["v1"].update(bytes="3")),
    "reason a list": _signed(lambda c: c["quarantined"].update(v3=[])),
    "cause a text": _signed(lambda c: c["causes"].update(v3="x")),
    "kind a number": _signed(lambda c: c["causes"].update(v3={"kind": 3})),
    "origin a list": _signed(lambda c: c.update(origin=[])),
    "omitted a text": _signed(lambda c: c["origin"].update(omitted="x")),
    "of another entry": _signed(lambda c: c.update(key="0" * 16)),
    "surplus field": _signed(lambda c: c.update(more=1)),
    "entry a file": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
    "stage a file": lambda folder: (
        shutil.rmtree(folder.parent),
        folder.parent.write_text("x"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_entry_that_cannot_be_trusted_is_made_again(tmp_path, damage):
    complete(Store(tmp_path))
    DAMAGES[damage](entry(tmp_path))
    store = Store(tmp_path)
    assert store.manifest("flow", KEY) is None
    with pytest.raises(CorruptEntryError):
        store.read("flow", KEY, "v1")
    manifest = complete(store, 2.0)
    assert store.manifest("flow", KEY) == manifest
    np.testing.assert_array_equal(store.read("flow", KEY, "v1").arrays["a"], np.full(3, 2.0))


def test_a_death_inside_reopen_keeps_what_is_whole_and_drops_what_is_not(tmp_path, monkeypatch):
    store = Store(tmp_path)
    complete(store)
    (entry(tmp_path) / "v1.safetensors").write_bytes(b"torn")

    def killed(self, omitted):
        raise KeyboardInterrupt

    def no_reason(self, item, reason):
        raise KeyboardInterrupt

    for name, death in (("begin", killed), ("set_aside", no_reason)):
        with monkeypatch.context() as patched:
            patched.setattr(staging_module.Staging, name, death)
            with pytest.raises(KeyboardInterrupt):
                store.reopen("flow", KEY, () if name == "set_aside" else ["v1"])
        again = Store(tmp_path)
        assert again.manifest("flow", KEY) is None
        assert again.staged("flow", KEY) == {"v2"}
        shutil.rmtree(tmp_path)
        store = Store(tmp_path)
        complete(store)
        (entry(tmp_path) / "v1.safetensors").write_bytes(b"torn")


def test_what_an_older_program_left_when_it_died_inside_reopen_is_made_again(tmp_path):
    store = Store(tmp_path)
    complete(store)
    (entry(tmp_path) / "manifest.json").unlink()
    assert store.staged("flow", KEY) == set()
    assert complete(store).coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize("where", ["staging/flow", f"staging/flow/{KEY}"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_in_the_place_of_the_staging_folder_is_no_hindrance(tmp_path, where, kind):
    store = Store(tmp_path)
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x") if kind == "file" else path.symlink_to("absent")
    assert store.staged("flow", KEY) == set()
    complete(store)
    assert set(store.manifest("flow", KEY).items) == {"v1", "v2"}


def test_leftovers_in_the_staging_folder_do_not_become_results(tmp_path):
    store = Store(tmp_path)
    folder = tmp_path / "staging" / "flow" / KEY
    (folder / "v1.safetensors").mkdir(parents=True)
    (folder / "v2.safetensors").symlink_to("absent")
    (folder / ".writing-0123").write_text("half")
    (folder / "v3.quarantined.json").write_text("[]")
    (folder / "v4.quarantined.json").mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "some").mkdir()
    assert store.staged("flow", KEY) == set()
    assert store.staging("flow", KEY).reasons() == {}
    complete(store)
    names = {path.name for path in entry(tmp_path).iterdir()}
    assert names == {"v1.safetensors", "v2.safetensors", "manifest.json"}


def test_items_staged_before_another_network_are_dropped(tmp_path):
    store = Store(tmp_path)
    store.staged("flow", KEY, ["v9"])
    store.stage_item("flow", KEY, "v1", Payload())
    assert store.staged("flow", KEY, ["v9"]) == {"v1"}
    assert store.staged("flow", KEY, []) == set()


def test_a_staged_file_that_is_no_payload_is_found_when_it_is_read(tmp_path):
    store = Store(tmp_path)
    store.staged("flow", KEY)
    store.staging("flow", KEY).write("v1", b"nonsense")
    store.commit("flow", KEY, {}, 0.0)
    assert store.corrupt_items("flow", KEY) == ["v1"]


def test_an_entry_without_a_result_is_refused(tmp_path):
    store = Store(tmp_path)
    store.quarantine("flow", KEY, "v1", "v1.mp4: cut off; copy it again")
    with pytest.raises(InputError, match=r"'flow'; first: v1\.mp4: cut off"):
        store.commit("flow", KEY, {}, 0.0)
    assert store.manifest("flow", KEY) is None


def test_an_entry_that_cannot_be_read_at_the_moment_is_not_called_damaged(tmp_path, monkeypatch):
    complete(Store(tmp_path))
    store = Store(tmp_path)

    def fails(self):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.read_bytes", fails)
        with pytest.raises(PassingFault, match="Input/output error"):
            store.manifest("flow", KEY)
    assert store.manifest("flow", KEY) is not None
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.read_bytes", fails)
        with pytest.raises(PassingFault, match="Input/output error"):
            store.read("flow", KEY, "v1")


def test_a_lease_that_cannot_be_locked_is_one_line(tmp_path):
    store = Store(tmp_path)
    store.lease_path(KEY).mkdir()
    with pytest.raises(PassingFault, match="cannot be locked"), lease(store, KEY):
        pass
