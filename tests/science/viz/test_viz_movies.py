import cv2
import numpy as np
import pytest
from PIL import Image

from wsvis.errors import InputError
from wsvis.viz.movies import write_film, write_gif, write_mp4, write_png


def film(count, height=48, width=64):
    """A white square that moves right by 8 pixels a frame."""
    for t in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[10:26, 8 * t : 8 * t + 16] = 255
        yield frame


def centre(frame):
    return np.nonzero(frame[..., 0] > 128)[1].mean()


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_film_reads_back_as_it_was_written(tmp_path, kind, capfd):
    path = tmp_path / "deep" / f"film.{kind}"
    assert write_film(path, film(5, 47, 63), fps=5) == 5
    assert capfd.readouterr().err == ""
    reader = cv2.VideoCapture(str(path))
    frames = []
    while (read := reader.read())[0]:
        frames.append(read[1])
    assert len(frames) == 5
    assert frames[0].shape == (48, 64, 3)  # odd sides get one more
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    for t, frame in enumerate(frames):
        assert centre(frame) == pytest.approx(8 * t + 7.5, abs=1)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_colours_of_a_film_are_not_swapped(tmp_path):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    write_mp4(tmp_path / "a.mp4", [red])
    _, frame = cv2.VideoCapture(str(tmp_path / "a.mp4")).read()  # BGR
    assert frame[16, 16, 2] > 150 > 60 > frame[16, 16, 0]


def test_a_gif_has_all_frames_at_the_right_pace(tmp_path):
    path = tmp_path / "film.gif"
    assert write_gif(path, film(4), fps=8, width=32) == 4
    with Image.open(path) as gif:
        assert gif.n_frames == 4
        assert gif.size == (32, 24)
        assert gif.info["duration"] == 120  # hundredths of a second: 100 / 8 = 12.5 -> 12
        assert gif.info["loop"] == 0
        for t in range(4):
            gif.seek(t)
            assert centre(np.asarray(gif.convert("RGB"))) == pytest.approx(4 * t + 3.5, abs=1)


def test_a_picture_is_written_without_loss(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_no_frames_is_an_error_that_leaves_nothing_behind(tmp_path, write):
    with pytest.raises(InputError, match="there is no frame to write"):
        write(tmp_path / "film.x", [])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_halfway_leaves_what_was_there(tmp_path):
    def broken():
        yield from film(2)
        raise RuntimeError("camera unplugged")

    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="unplugged"):
        write_mp4(path, broken())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.a\.png: cannot be written"):
        write_png(tmp_path / "file" / "a.png", np.zeros((4, 4, 3), np.uint8))
