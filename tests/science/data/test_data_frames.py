"""Frames and frame pairs of a video, whatever holds it."""

from __future__ import annotations

import numpy as np
import pytest

from reference.clips_on_disk import HEIGHT, WIDTH, picture, write_frames, write_image, write_video
from wsvis.data import frames as module
from wsvis.data.frames import iterate_frames, read_frames, read_pairs
from wsvis.data.synthetic import synthetic_dataset
from wsvis.errors import InputError
from wsvis.types import FrameFiles, Video, VideoFile


def file_video(paths, successors=None, height=HEIGHT, width=WIDTH):
    source = FrameFiles(tuple(map(str, paths)), successors and tuple(map(str, successors)))
    return Video("clip", height, width, ((),) * len(paths), source)


def reds(frames):
    """The number that ``picture`` and ``write_video`` put into each frame."""
    return np.round(frames[..., 0].mean((1, 2))).astype(int).tolist()


def test_image_files(tmp_path):
    video = file_video(write_frames(tmp_path, [7, 8, 9], ".png"))
    frames = read_frames(video)
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    assert reds(frames) == [7, 8, 9]
    assert reds(np.stack(list(iterate_frames(video)))) == [7, 8, 9]


def test_pairs_of_consecutive_frames(tmp_path):
    video = file_video(write_frames(tmp_path, [0, 1, 2, 3], ".png"))
    for gap in (1, 2, 3):
        first, second = read_pairs(video, gap)
        assert reds(first) == list(range(4 - gap))
        assert reds(second) == list(range(gap, 4))
    assert [len(part) for part in read_pairs(video, 9)] == [0, 0]


@pytest.mark.parametrize("following", [[1, 6, 11], [1, 6]])
def test_pairs_to_the_next_raw_frame(tmp_path, following):
    write_frames(tmp_path, [0, 5, 10, *following], ".png")
    listed = [tmp_path / f"{n:05d}.png" for n in (0, 5, 10)]
    video = file_video(listed, [tmp_path / f"{n:05d}.png" for n in following])
    first, second = read_pairs(video, 1)
    assert (reds(first), reds(second)) == ([0, 5, 10][: len(following)], following)
    first, second = read_pairs(video, 1, raw=False)
    assert (reds(first), reds(second)) == ([0, 5], [5, 10])
    first, second = read_pairs(video, 2)
    assert (reds(first), reds(second)) == ([0], [10])


def test_video_file_with_a_step(tmp_path):
    path = str(write_video(tmp_path / "a.avi", 10, "MJPG"))
    whole = reds(read_frames(Video("a", 48, 64, ((),) * 10, VideoFile(path))))
    thin = Video("a", 48, 64, ((),) * 4, VideoFile(path, step=3))
    assert reds(read_frames(thin)) == whole[::3]
    first, second = read_pairs(thin, 1)
    assert reds(first) == [whole[0], whole[3], whole[6], whole[9]]
    assert reds(second) == [whole[1], whole[4], whole[7], whole[8]]  # the last goes back
    first, second = read_pairs(Video("a", 48, 64, ((),) * 5, VideoFile(path, step=2)), 1)
    assert reds(first) == whole[::2]
    assert reds(second) == [*whole[1:8:2], whole[7]]
    first, second = read_pairs(thin, 1, raw=False)
    assert reds(second) == [whole[3], whole[6], whole[9]]
    one = Video("a", 48, 64, ((),), VideoFile(path, step=10))
    assert [len(part) for part in read_pairs(one, 1)] == [0, 0]


def test_generated_clip_may_be_written_to():
    video = synthetic_dataset("train", 1).videos[0]
    first = read_frames(video)
    first[:] = 0
    assert read_frames(video).any()
    a, b = read_pairs(video, 1)
    assert np.array_equal(a[1:], b[:-1])
    assert len(list(iterate_frames(video))) == video.length


def test_a_frame_of_another_size_is_named(tmp_path):
    paths = write_frames(tmp_path, [0, 1, 2])
    write_image(paths[1], picture(1, HEIGHT, WIDTH + 2))
    with pytest.raises(InputError, match=r"00001\.jpg: is 42x24 pixels, .* as 40x24; export"):
        read_frames(file_video(paths))
    with pytest.raises(InputError, match=r"00001\.jpg: is 42x24"):
        read_pairs(file_video(paths[:1], paths[1:2]), 1)


def test_an_absent_or_cut_off_frame_is_named(tmp_path):
    paths = write_frames(tmp_path, [0, 1, 2])
    paths[2].write_bytes(paths[2].read_bytes()[:-40])
    with pytest.raises(InputError, match=r"00002\.jpg: the JPEG is cut off"):
        read_frames(file_video(paths))
    paths[1].unlink()
    with pytest.raises(InputError, match=r"00001\.jpg: the frame is listed but absent"):
        read_frames(file_video(paths))


def test_a_known_problem_is_raised_on_reading(tmp_path):
    source = FrameFiles((str(tmp_path / "absent.jpg"),))
    video = Video("bad", 0, 0, ((),), source, problem="a.mp4: is damaged; encode it again")
    for read in (read_frames, read_pairs, lambda video: list(iterate_frames(video))):
        with pytest.raises(InputError, match=r"^a\.mp4: is damaged; encode it again$"):
            read(video)


def test_a_video_too_large_for_memory_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 3 * HEIGHT * WIDTH * 2)
    paths = write_frames(tmp_path, [0, 1, 2])
    assert len(read_frames(file_video(paths[:2]))) == 2
    with pytest.raises(InputError, match=r"3 frames of 40x24 need .* set data\.frame_step"):
        read_frames(file_video(paths))


def test_a_gap_below_one_is_the_callers_mistake(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        read_pairs(file_video(write_frames(tmp_path, [0, 1])), 0)
