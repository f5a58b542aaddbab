"""Frames that a video's tables list; sound videos are read, broken ones refused or used in part."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.clips_on_disk import SHARED, write_video
from wsvis.data.config import DataConfig
from wsvis.data.container_frames import ListedFrames, listed_frames
from wsvis.data.frames import read_frames
from wsvis.data.images import decode_video, probe_video
from wsvis.data.load import load_dataset
from wsvis.errors import InputError


def with_edit_list(data: bytes, start: float, seconds: float) -> bytes:
    """The MP4 as ``ffmpeg -ss START -c copy`` leaves it; its moov box is its last."""
    content = bytearray(data)

    def box(kind, begin, end):
        while begin < end:
            size, name = struct.unpack(">I4s", content[begin : begin + 8])
            if name == kind:
                return begin, size
            begin += size
        raise AssertionError(kind)

    moov, moov_size = box(b"moov", 0, len(content))
    trak, trak_size = box(b"trak", moov + 8, moov + moov_size)
    edts, edts_size = box(b"edts", trak + 8, trak + trak_size)
    mdia, mdia_size = box(b"mdia", trak + 8, trak + trak_size)
    header = box(b"mdhd", mdia + 8, mdia + mdia_size)[0]
    ticks = struct.unpack(">I", content[header + 20 : header + 24])[0]
    scale = struct.unpack(">I", content[moov + 28 : moov + 32])[0]
    elst = struct.pack(">IIIiI", 0, 1, int(seconds * scale), int(start * ticks), 1 << 16)
    assert edts_size == 8 + 8 + len(elst)
    content[edts + 16 : edts + edts_size] = elst
    return bytes(content)


def frames_of(path):
    frames, *_ = probe_video(str(path))
    return frames, sum(1 for _ in decode_video(str(path), frames, lambda t: True))


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.avi", "MJPG")]
)
def test_tables_list_every_frame(tmp_path, name, code):
    path = write_video(tmp_path / name, 40, code)
    assert listed_frames(path) == ListedFrames(40)
    path.write_bytes(path.read_bytes()[:-3000])
    assert listed_frames(path).cut_off or listed_frames(path).shown is None


def test_a_film_cut_by_an_edit_list_is_read(tmp_path):
    path = write_video(tmp_path / "a.mp4", 50)
    path.write_bytes(with_edit_list(path.read_bytes(), 1.0, 0.8))  # 25 frames per second
    assert listed_frames(path).shown == 20
    frames, decoded = frames_of(path)
    assert frames == decoded
    assert 18 <= frames <= 22


@pytest.mark.parametrize(
    ("name", "code", "table"), [("a.mp4", "mp4v", b"stts"), ("a.avi", "MJPG", b"strh")]
)
def test_a_header_that_claims_too_many_frames_is_not_believed(tmp_path, name, code, table):
    path = write_video(tmp_path / name, 12, code)
    content = bytearray(path.read_bytes())
    at = content.find(table)
    where, form = (at + 12, ">I") if table == b"stts" else (at + 8 + 32, "<I")
    assert struct.unpack_from(form, content, where) == (12,)
    struct.pack_into(form, content, where, 2**31 - 1)
    path.write_bytes(content)
    assert frames_of(path) == (12, 12)


def test_what_can_be_read_of_a_broken_video_is_kept_on_demand(tmp_path):
    path = write_video(tmp_path / "a.avi", 40, "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "labels.csv").write_text("video,first_frame,last_frame,class\na.avi,0,,dog\n")
    with pytest.raises(InputError, match=r"only \d+ of 40 frames .*--data\.keep-readable"):
        probe_video(str(path))
    data = DataConfig(kind="video-files", path=str(tmp_path), split="all", keep_readable=True)
    dataset = load_dataset(data)
    (video,) = dataset.videos
    assert not video.problem
    assert 5 <= video.length < 20
    assert len(read_frames(video)) == video.length
    assert dataset.remarks[0] == (
        f"{path}: breaks off: {video.length} of 40 frames can be read and are used"
    )


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_damage_to_the_tables_gives_a_number_or_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "containers"
    name, code = data.draw(st.sampled_from([("a.mp4", "mp4v"), ("a.avi", "MJPG")]))
    path = folder / name
    whole = path.read_bytes() if path.exists() else write_video(path, 4, code).read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        # tables lie in the last part of an MP4, in the first of an AVI
        near = data.draw(st.integers(0, min(1500, len(content) - 4)))
        at = near if name == "a.avi" else len(content) - 4 - near
        content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    changed = folder / f"changed-{name}"
    changed.write_bytes(content)
    shown = listed_frames(changed).shown
    assert shown is None or 0 <= shown <= len(content)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "videos").is_dir(), reason="no real videos here")
def test_real_files_of_ten_kinds():
    folder = SHARED / "data" / "videos"
    counts = {
        "geese_pond_vfr.mp4": 109,
        "cat_portrait.mp4": 87,
        "face_rotated.mov": 25,
        "traffic_msmpeg4.avi": 374,
        "street_3fps.mp4": 8,
        "parking.gif": 41,
        "sign_language.mkv": 89,
        "carphone_sar.mp4": 120,
        "vp9_no_duration.webm": 74,
    }
    for name, count in counts.items():
        assert frames_of(folder / name) == (count, count), name
    with pytest.raises(InputError, match="only 28 of 50 frames"):
        frames_of(folder / "corrupted.mp4")
    assert probe_video(str(folder / "corrupted.mp4"), keep_readable=True)[0] == 28
