"""Broken image and video files are errors, sound ones come back as they are."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.clips_on_disk import picture, write_image, write_video
from wsvis.data.images import decode_video, image_fault, probe_video, read_image
from wsvis.errors import InputError

JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))[1]
PROGRESSIVE = cv2.imencode(
    ".jpg", cv2.imdecode(JPEG, cv2.IMREAD_COLOR), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
)[1]
PNG = cv2.imencode(".png", cv2.imdecode(JPEG, cv2.IMREAD_COLOR))[1]


def with_preview(jpeg: bytes) -> bytes:
    """The JPEG with a smaller, complete JPEG inside an EXIF segment, as cameras write it."""
    preview = b"Exif\x00\x00" + cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview + jpeg[2:]


def test_red_stays_red(tmp_path):
    image = picture(200)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(str(tmp_path / "a.png")), image)
    write_image(tmp_path / "a.jpg", image)
    assert abs(int(read_image(str(tmp_path / "a.jpg"))[..., 0].mean()) - 200) <= 3


@pytest.mark.parametrize("whole", [JPEG.tobytes(), PROGRESSIVE.tobytes(), PNG.tobytes()])
def test_a_cut_anywhere_is_found(whole, tmp_path):
    path = tmp_path / "frame"
    for data in (whole, with_preview(whole) if whole.startswith(b"\xff\xd8") else whole):
        assert image_fault(data) is None
        for cut in [0, 1, 2, 10, *range(100, len(data), 61), len(data) - 2, len(data) - 1]:
            path.write_bytes(data[:cut])
            with pytest.raises(InputError, match=r"frame: .*copy or export the frame again$"):
                read_image(str(path))


@pytest.mark.parametrize("whole", [JPEG.tobytes(), with_preview(PROGRESSIVE.tobytes())])
def test_a_cut_is_found_without_decoding(whole):
    # Decoders differ by version: some fill the rest with grey and say nothing.
    scan = whole.rindex(b"\xff\xda")
    for cut in range(scan + 2, len(whole)):
        assert image_fault(whole[:cut]) == "the JPEG is cut off before its end"


def test_bytes_after_the_end_do_no_harm(tmp_path):
    for name, data in {"a.jpg": JPEG, "a.png": PNG}.items():
        (tmp_path / name).write_bytes(data.tobytes() + b"\0" * 64)
        assert read_image(str(tmp_path / name)).shape == (40, 60, 3)


@settings(deadline=None)  # a deadline would measure the machine
@given(st.binary(max_size=300))
def test_any_bytes_are_an_image_or_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_image(str(path))


def test_a_hostile_size_is_refused(tmp_path):
    data = bytearray(JPEG.tobytes())
    start = data.index(b"\xff\xc0")  # frame header: length, precision, height, width
    data[start + 5 : start + 9] = struct.pack(">HH", 65500, 65500)
    (tmp_path / "big.jpg").write_bytes(data)
    with pytest.raises(InputError, match=r"big\.jpg"):
        read_image(str(tmp_path / "big.jpg"))


def test_absent_and_unreadable(tmp_path):
    with pytest.raises(InputError, match="listed but absent; restore the file"):
        read_image(str(tmp_path / "a.jpg"))
    os.mkfifo(tmp_path / "pipe.png")
    for path, reason in ((tmp_path, "is a folder"), (tmp_path / "pipe.png", "no regular file")):
        with pytest.raises(InputError, match=reason):
            read_image(str(path))
    with pytest.raises(InputError, match="no regular file"):
        read_image("/dev/zero")
    with pytest.raises(InputError, match="no regular file"):
        probe_video(str(tmp_path / "pipe.png"))


@pytest.mark.parametrize("side", [8193, 40_000, 2**31 - 1])
def test_a_small_png_of_a_gigapixel_is_refused_before_it_is_decoded(tmp_path, side):
    png = bytearray(PNG.tobytes())
    png[16:24] = struct.pack(">II", side, side)
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(InputError, match=rf"bomb\.png: it claims {side}x{side} pixels"):
        read_image(str(tmp_path / "bomb.png"))


@pytest.mark.parametrize(
    ("suffix", "code"),
    [
        ("a.mp4", "mp4v"),
        ("a.mov", "mp4v"),
        ("a.avi", "MJPG"),
        ("a.mkv", "mp4v"),
        ("a.webm", "VP80"),
    ],
)
def test_video_frames_come_in_order(tmp_path, suffix, code):
    path = str(write_video(tmp_path / f"a.{suffix}", 20, code))
    assert probe_video(path) == (20, 48, 64)
    every = [frame.mean() for frame in decode_video(path, 20, lambda t: True)]
    assert np.allclose(every, 5 * np.arange(20) + 4, atol=3)
    some = [frame.mean() for frame in decode_video(path, 20, lambda t: t % 7 == 3)]
    assert np.allclose(some, [every[3], every[10], every[17]])


def damaged(path, begin, end):
    data = bytearray(path.read_bytes())
    size = len(data)
    data[int(begin * size) : int(end * size)] = bytes(int(end * size) - int(begin * size))
    path.write_bytes(data)
    return str(path)


def test_a_damaged_mp4_is_one_error(tmp_path):
    path = damaged(write_video(tmp_path / "a.mp4", 40), 0.25, 0.6)
    frames, *_ = probe_video(path)
    assert frames == 40  # the header still lists them all
    with pytest.raises(
        InputError, match=r"a\.mp4: only \d+ of 40 frames can be decoded: .*again, or keep"
    ):
        list(decode_video(path, frames, lambda t: True))


def test_a_video_cut_off_is_an_error(tmp_path):
    for name, code, reason in [
        ("a.mp4", "mp4v", "not a video that can be decoded"),  # its index is at the end
        ("a.avi", "MJPG", "only .* of 40 frames"),
        ("a.webm", "VP80", "only .* of 40 frames"),
    ]:
        path = write_video(tmp_path / name, 40, code)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=reason):
            list(decode_video(str(path), probe_video(str(path))[0], lambda t: True))


def test_no_video_at_all(tmp_path, capfd):
    path = tmp_path / "a.mp4"
    with pytest.raises(InputError, match="listed but absent"):
        probe_video(str(path))
    for content in (b"", b"hello" * 100, b"\0" * 4096):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.mp4: is not a video"):
            probe_video(str(path))
    path = write_video(tmp_path / "b.mp4", 3)
    size = path.stat().st_size
    with pytest.raises(InputError, match=r"b\.mp4"):
        probe_video(damaged(path, 44 / size, (path.read_bytes().rindex(b"moov") - 4) / size))
    assert capfd.readouterr().out == ""
