"""Faults of the machine end the run and are forgotten; faults of a video are remembered."""

import errno
import shutil

import numpy as np
import pytest
import torch

from orchestration.made_up_stages import use_stages
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.passing_faults import PASSING_ERRNOS, PassingFault, is_passing, passing_fault
from wsvis.payload import Payload
from wsvis.plan import stage_keys
from wsvis.stage import Stage
from wsvis.types import Dataset, FrameFiles, Video
from wsvis_platform.store import video_worker
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store

FAULTS: list[BaseException] = []
LOG: list[str] = []


def first(config, wholes):
    def process(video, inputs):
        LOG.append(video.id)
        if video.id == "v1" and FAULTS:
            raise FAULTS[0]
        with open(video.source.paths[0], "rb") as file:
            content = file.read()
        if content == b"bad":
            raise InputError(f"{video.source.paths[0]}: is no image; export it again")
        return Payload({"x": np.frombuffer(content, np.uint8)})

    return process


def total(config, dataset, inputs, report):
    have = [inputs.video("first", v.id) for v in dataset.videos]
    return Payload(data={"videos": sum(p is not None for p in have)})


def second(config, wholes):
    return lambda video, inputs: Payload(data={"of": wholes["total"].data["videos"]})


STAGES = (
    Stage("first", 1, (), (), per_video=first),
    Stage("total", 1, ("first",), (), whole=total),
    Stage("second", 1, ("first", "total"), (), per_video=second),
)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    FAULTS.clear()
    LOG.clear()
    use_stages(monkeypatch, STAGES)
    videos = []
    for n in range(3):
        path = tmp_path / "frames" / f"v{n}" / "0.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"good %d" % n)
        videos.append(Video(f"v{n}", 4, 6, ((0,),), FrameFiles((str(path),))))
    return Dataset("d", ("a",), tuple(videos), "f" * 64, frames_folder=str(tmp_path / "frames"))


def run(store, data, target="second"):
    keys, _ = Materialiser(store).ensure(Config(), data, [target])
    return store.manifest(target, keys[target])


PASSING = [
    MemoryError("Unable to allocate 3 GiB"),
    *(OSError(number, "x") for number in sorted(PASSING_ERRNOS)),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("can't start new thread"),
    ConnectionResetError("x"),
    TimeoutError("x"),
    ImportError("libGL.so.1"),
]
PERMANENT = [
    InputError("v.mp4: cut off, out of memory of the tape; copy it again"),
    FileNotFoundError(errno.ENOENT, "x"),
    PermissionError(errno.EACCES, "x"),
    ValueError("x"),
    KeyError("out of memory"),
    ZeroDivisionError(),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_faults_of_the_machine_are_passing(error):
    assert is_passing(error)


@pytest.mark.parametrize("error", PERMANENT, ids=repr)
def test_faults_of_the_input_are_not(error):
    assert not is_passing(error)


def test_a_reader_that_hides_the_cause_does_not_hide_it_from_the_store():
    def read():
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError:
            raise InputError("0.jpg: cannot be read") from None

    with pytest.raises(InputError) as caught:
        read()
    assert is_passing(caught.value)
    line = str(passing_fault("flow of v1", caught.value))
    assert line.startswith("flow of v1: 0.jpg: cannot be read; the machine failed")


def test_the_line_is_short_and_says_what_to_do():
    once = passing_fault("flow", MemoryError("x\n" * 5000))
    assert len(str(once)) <= 500
    assert "\n" not in str(once)
    again = str(passing_fault("flow of v1", once))
    assert again.count("run the same command again") == 1
    assert len(again) <= 500


@pytest.mark.parametrize(
    "fault",
    [MemoryError(), OSError(errno.EIO, "x"), torch.OutOfMemoryError("CUDA out of memory")],
    ids=repr,
)
def test_a_passing_fault_ends_the_run_and_the_next_one_goes_on(clips, tmp_path, fault):
    store = Store(tmp_path / "store")
    FAULTS.append(fault)
    with pytest.raises(PassingFault, match=r"first of v1.*run the same command again"):
        run(store, clips)
    assert not list((tmp_path / "store" / "objects").glob("*/*"))
    FAULTS.clear()
    LOG.clear()
    manifest = run(store, clips)
    assert set(manifest.items) == {"v0", "v1", "v2"}
    assert LOG == ["v1", "v2"]  # v0 was kept


def test_a_full_disk_while_a_result_is_written_is_nobodys_video(clips, tmp_path, monkeypatch):
    import wsvis.files.atomic as atomic

    real = atomic.os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path / "store")
    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(PassingFault, match="No space left"):
        run(store, clips)
    monkeypatch.setattr(atomic.os, "fsync", real)
    assert run(store, clips).coverage == 1.0


@pytest.mark.parametrize("empty", [False, True])
def test_with_the_folder_of_the_data_away_no_video_is_set_aside(clips, tmp_path, empty):
    store, folder = Store(tmp_path / "store"), tmp_path / "frames"
    shutil.move(folder, tmp_path / "away")
    if empty:  # an unmounted disk leaves its folder behind
        folder.mkdir()
    with pytest.raises(PassingFault, match="gone or empty"):
        run(store, clips)
    if empty:
        folder.rmdir()
    shutil.move(tmp_path / "away", folder)
    assert run(store, clips).coverage == 1.0


def test_a_bad_video_is_remembered_until_its_files_change(clips, tmp_path):
    store, frame = Store(tmp_path / "store"), tmp_path / "frames" / "v1" / "0.jpg"
    frame.write_bytes(b"bad")
    manifest = run(store, clips)
    assert set(manifest.items) == {"v0", "v2"}
    assert manifest.causes["v1"]["kind"] == "no input"
    LOG.clear()
    assert run(store, clips) == manifest
    assert LOG == []
    frame.write_bytes(b"mended")
    repaired = run(store, clips)
    assert repaired.coverage == 1.0
    assert LOG == ["v1"]
    # the data-set-wide result saw two videos; what rests on it is made again with three
    keys = stage_keys(Config(), clips, ["second"])
    assert store.read("second", keys["second"], "v0").data == {"of": 3}


def test_a_stage_without_any_result_is_one_line_and_no_entry(clips, tmp_path):
    for video in clips.videos:
        (tmp_path / "frames" / video.id / "0.jpg").write_bytes(b"bad")
    with pytest.raises(InputError, match=r"no video is left after stage 'first'.*v0/0\.jpg"):
        run(Store(tmp_path / "store"), clips)
    assert not list((tmp_path / "store" / "objects").glob("*/*"))


def test_a_disk_that_fails_while_the_bad_video_is_looked_at_blames_nobody(
    clips, tmp_path, monkeypatch
):
    (tmp_path / "frames" / "v1" / "0.jpg").write_bytes(b"bad")

    def fails(video):
        raise passing_fault(video.id, OSError(errno.ESTALE, "Stale file handle"))

    monkeypatch.setattr(video_worker, "video_fingerprint", fails)
    with pytest.raises(PassingFault, match="Stale"):
        run(Store(tmp_path / "store"), clips)


def test_reasons_of_older_programs_are_tried_once_more(clips, tmp_path):
    store = Store(tmp_path / "store")
    keys = stage_keys(Config(), clips, ["first"])
    for name in ("v0", "v2"):
        store.stage_item("first", keys["first"], name, Payload())
    store.quarantine("first", keys["first"], "v1", "MemoryError")
    store.commit("first", keys["first"], {}, 0.0)
    assert run(store, clips, "first").coverage == 1.0
    assert LOG == ["v1"]
