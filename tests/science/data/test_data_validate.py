"""What is in a data set, and everything that is wrong with it."""

from __future__ import annotations

import pytest

from reference.clips_on_disk import (
    SHARED,
    picture,
    write_frames,
    write_image,
    write_video,
    write_ytvis_files,
    ytvis_content,
)
from wsvis.data.config import DataConfig
from wsvis.data.validate import ClassCount, check_dataset, guess_kind
from wsvis.errors import InputError


def check(path, kind="ytvis", **options):
    return check_dataset(DataConfig(kind=kind, path=str(path), split="all"), **options)


def test_a_sound_data_set(tmp_path):
    content = ytvis_content(3)
    content["categories"].append({"id": 5, "name": "never"})
    content["annotations"][2]["category_id"] = 20
    told = []
    findings = check(write_ytvis_files(tmp_path, content), on_video=lambda *done: told.append(done))
    assert findings.problems == ()
    assert (findings.videos, findings.frames, findings.lengths) == (3, 12, (4, 4))
    assert findings.sizes == {"40x24": 3}
    assert findings.classes == (ClassCount("class1", 1, 3, 1), ClassCount("class2", 2, 6, 2))
    assert findings.unused == ("class3", "never")
    assert findings.unlabelled_frames == 3
    assert findings.masks
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_every_problem_is_listed(tmp_path):
    content = ytvis_content(4)
    content["annotations"][3]["segmentations"][0] = {"size": [24, 40], "counts": [1]}
    path = write_ytvis_files(tmp_path, content)
    frames = tmp_path / "JPEGImages"
    (frames / "clip1" / "00000.jpg").unlink()
    cut = frames / "clip1" / "00003.jpg"
    cut.write_bytes(cut.read_bytes()[:-30])
    write_image(frames / "clip3" / "00001.jpg", picture(0, 24, 42))
    findings = check(path)
    assert len(findings.problems) == 4
    for part, problem in zip(
        ("counts sum to 1", "clip1/00000.jpg", "clip1/00003.jpg", "clip3/00001.jpg"),
        findings.problems,
        strict=True,
    ):
        assert part in problem
        assert "\n" not in problem
        assert ";" in problem  # the cure
    assert findings.videos == 4
    quick = check(path, decode=False).problems  # sees what is absent, not what is damaged
    assert ["counts sum to 1" in quick[0], "clip1/00000.jpg" in quick[1]] == [True, True]
    assert len(quick) == 2


def test_raw_frames_are_checked_too(tmp_path):
    content = ytvis_content(1)
    content["videos"][0]["file_names"] = [f"clip1/{t:05d}.jpg" for t in (0, 5, 10, 15)]
    path = write_ytvis_files(tmp_path, content)
    paths = write_frames(tmp_path / "JPEGImages" / "clip1", [1, 6, 11])
    assert check(path).problems == ()
    paths[1].write_bytes(b"")
    assert [p.split(":")[1] for p in check(path).problems] == [
        " it is empty; copy or export the frame again"
    ]


def test_video_files_with_a_damaged_and_an_absent_video(tmp_path):
    video = write_video(tmp_path / "a.mp4", 40)
    write_video(tmp_path / "b.mp4", 8)
    data = bytearray(video.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    video.write_bytes(data)
    (tmp_path / "labels.csv").write_text(
        "video,first_frame,last_frame,class\na.mp4,0,39,dog\nb.mp4,0,3,dog\nc.mp4,0,3,cat\nb.mp4,5,4,x\n"
    )
    findings = check(tmp_path, "video-files")
    assert len(findings.problems) == 3
    assert "line 5: class 'x' has no frame" in findings.problems[0]
    assert "a.mp4: only" in findings.problems[1]
    assert "c.mp4: the video is listed but absent" in findings.problems[2]
    assert not findings.masks
    assert findings.unused == ("cat",)
    assert len(check(tmp_path, "video-files", decode=False).problems) == 2


def test_nothing_readable_at_all(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    findings = check(tmp_path / "a.json")
    assert findings.videos == 0
    assert len(findings.problems) == 1
    assert "is not YouTube-VIS" in findings.problems[0]


def test_kinds_are_guessed(tmp_path):
    def folder(name, *inside):
        (tmp_path / name).mkdir()
        for entry in inside:
            (tmp_path / name / entry).write_text("")
        return str(tmp_path / name)

    assert guess_kind(folder("a", "labels.csv")) == "video-files"
    assert guess_kind(folder("b", "x.MP4")) == "video-files"
    assert guess_kind(folder("c", "labels.csv", "JPEGImages", "Annotations")) == "davis"
    assert guess_kind(folder("d", "JPEGImages", "instances.json")) == "ytvis"
    assert guess_kind(str(tmp_path / "d" / "instances.json")) == "ytvis"
    assert guess_kind(folder("e", "gtFine")) == "cityscapes"
    with pytest.raises(InputError, match="is not a data set: give"):
        guess_kind(folder("f", "notes.txt"))
    with pytest.raises(InputError, match="there is no such file or folder"):
        guess_kind(str(tmp_path / "none"))


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no real clips on this machine")
def test_real_clips():
    findings = check(SHARED / "data" / "davis-composite")
    assert findings.problems == ()
    assert (findings.videos, findings.frames) == (24, 480)
    assert sum(count.instances for count in findings.classes) == 60
