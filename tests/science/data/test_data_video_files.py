"""A folder of videos with labels.csv."""

from __future__ import annotations

import numpy as np
import pytest

from reference.clips_on_disk import write_video
from wsvis.data.config import DataConfig
from wsvis.data.frames import read_frames
from wsvis.data.load import load_dataset
from wsvis.data.video_files import read_video_files
from wsvis.errors import InputError
from wsvis.viz.movies import write_gif

HEADER = "video,first_frame,last_frame,class\n"


@pytest.fixture
def folder(tmp_path):
    for name, code in {"a.mp4": "mp4v", "b.avi": "MJPG", "c.webm": "VP80"}.items():
        write_video(tmp_path / "set" / name, 8, code)
    return tmp_path / "set"


def table(folder, text, header=HEADER):
    (folder / "labels.csv").write_text(header + text)
    return str(folder)


def test_what_the_table_says(folder):
    rows = "b.avi,2,4,dog\nb.avi,4,,cat\na.mp4,,3,dog\na.mp4,2,3,dog\n\n"
    dataset = read_video_files(table(folder, rows))
    assert dataset.name == "set"
    assert dataset.classes == ("cat", "dog")
    assert [video.id for video in dataset.videos] == ["a", "b", "c"]
    first, second, third = dataset.videos
    assert first.labels == ((1,),) * 4 + ((),) * 4
    assert second.labels == ((), (), (1,), (1,), (0, 1), (0,), (0,), (0,))
    assert third.labels == ((),) * 8  # no line, no class
    for video in dataset.videos:
        assert (video.height, video.width, video.problem) == (48, 64, "")
        assert video.instances is None
        levels = read_frames(video).mean((1, 2, 3))
        assert np.allclose(levels, 5 * np.arange(8) + 4, atol=3)


def test_an_animated_gif_is_a_video(folder):
    frames = [np.full((48, 64, 3), 25 * n, np.uint8) for n in range(8)]
    write_gif(folder / "d.gif", frames)
    dataset = read_video_files(table(folder, "d.gif,0,3,dog\n"))
    video = next(video for video in dataset.videos if video.id == "d")
    assert (video.length, video.problem) == (8, "")
    assert read_frames(video).shape[0] == 8


def test_a_table_from_a_spreadsheet(folder):
    # byte-order mark, capitals, another order, quotes, spaces, an extra column
    text = '\ufeffClass,Video,First_Frame,Last_Frame,remark\r\n"dog, big",a.mp4, 0, 7,"x"\r\n'
    (folder / "labels.csv").write_bytes(text.encode())
    dataset = read_video_files(str(folder))
    assert dataset.classes == ("dog, big",)
    assert dataset.videos[0].labels == ((0,),) * 8


@pytest.mark.parametrize(("rate", "step"), [(0.1, 8), (2, 5), (5, 2), (9, 1), (60, 1)])
def test_a_rate_becomes_each_videos_own_step(folder, monkeypatch, rate, step):
    monkeypatch.setattr("wsvis.data.images.frame_rate", lambda path: 10.0)
    path = table(folder, "a.mp4,0,7,dog\n")
    data = DataConfig(kind="video-files", path=path, split="all", frames_per_second=rate, videos=1)
    (video,) = load_dataset(data).videos
    assert video.length == -(-8 // step)


def test_a_rate_needs_frames_with_times(folder):
    with pytest.raises(InputError, match="give one of them"):
        DataConfig(frames_per_second=2, frame_step=3)
    with pytest.raises(InputError, match=r"have no times; set data\.frame_step"):
        load_dataset(DataConfig(kind="synthetic", frames_per_second=2, synthetic_videos=3))


def test_frame_step_counts_frames_of_the_video(folder):
    path = table(folder, "a.mp4,3,5,dog\n")
    data = DataConfig(kind="video-files", path=path, split="all", frame_step=3, videos=1)
    (video,) = load_dataset(data).videos
    assert video.labels == ((), (0,), ())
    assert np.allclose(read_frames(video).mean((1, 2, 3)), [4, 19, 34], atol=3)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.mp4,5,4,dog", "line 2: class 'dog' has no frame: last_frame 4 comes before first_fr"),
        ("a.mp4,0,8,dog", r"line 2: class 'dog' in frames 0 to 8, but a\.mp4 has frames 0 to 7"),
        ("a.mp4,9,,dog", r"line 2: class 'dog' in frames 9 to 7, but a\.mp4 has frames 0 to 7"),
        ("a.mp4,-1,3,dog", "line 2: first_frame and last_frame must be whole numbers"),
        ("a.mp4,0,1.5,dog", "line 2: first_frame and last_frame must be whole numbers"),
        ("a.mp4,²,3,dog", "line 2: first_frame and last_frame must be whole numbers"),
        ("a.mp4,0,3,", "line 2: has no class"),
        (",0,3,dog", "line 2: '' is not a file in this folder"),
        ("../a.mp4,0,3,dog", "line 2: '../a.mp4' is not a file in this folder"),
        ("/a.mp4,0,3,dog", "line 2: '/a.mp4' is not a file in this folder"),
        ("", "labels no frame; add lines"),
    ],
)
def test_a_wrong_line_is_named_with_its_cure(folder, row, reason):
    path = table(folder, row + "\n")
    with pytest.raises(InputError, match=rf"labels\.csv: {reason}") as error:
        read_video_files(path)
    assert "\n" not in str(error.value)
    problems: list[str] = []
    assert len(read_video_files(path, problems.append).videos) == 3
    assert problems[0] == str(error.value)


def test_wrong_tables(folder):
    path = table(folder, "a.mp4,0,3\n", header="video,start,end\n")
    with pytest.raises(InputError, match=r"has no column first_frame, last_frame, class; its fir"):
        read_video_files(path)
    (folder / "labels.csv").write_bytes(HEADER.encode() + b"a.mp4,0,1,cr\xf6ss\n")
    with pytest.raises(InputError, match=r"labels\.csv: is not UTF-8 text \(line 2"):
        read_video_files(path)
    (folder / "labels.csv").write_text(HEADER + 'a.mp4,0,1,"' + "x" * 200_000 + '"\n')
    with pytest.raises(InputError, match=r"labels\.csv: line 2: field larger"):
        read_video_files(path)
    (folder / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"labels\.csv: there is no such file"):
        read_video_files(path)


def test_bad_videos_stay_with_their_reason(folder):
    (folder / "b.avi").write_bytes(b"nonsense")
    path = table(folder, "b.avi,0,30,dog\na.mp4,0,7,dog\ngone.mp4,2,5,cat\n")
    dataset = read_video_files(path)
    by_id = {video.id: video for video in dataset.videos}
    assert "b.avi: is not a video" in by_id["b"].problem
    assert "gone.mp4: the video is listed but absent" in by_id["gone"].problem
    assert by_id["b"].length == 31
    assert not by_id["a"].problem
    for name in ("b", "gone"):
        with pytest.raises(InputError, match=r"again|restore"):
            read_frames(by_id[name])
    (folder / "b.avi").unlink()
    table(folder, "b.avi,0,999999999999,dog\n")
    assert read_video_files(path).videos[1].length == 1 << 16


def test_an_empty_folder(tmp_path):
    (tmp_path / "labels.csv").write_text(HEADER)
    with pytest.raises(InputError, match="labels no frame"):
        read_video_files(str(tmp_path))
    with pytest.raises(InputError, match="holds no video"):
        read_video_files(str(tmp_path), lambda problem: None)
