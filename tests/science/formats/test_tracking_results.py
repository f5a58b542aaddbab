import json

import pytest

from reference.tracking_scenes import frame_of
from wsvis.errors import InputError
from wsvis.formats.track_results import results_of, write_results
from wsvis.types import Track

MASK = frame_of((5, 5, 20, 35, 1.0, 0)).masks[0]


def test_tracks_are_written_with_the_ids_of_the_data_set_and_every_digit(tmp_path):
    path = tmp_path / "deep" / "results.json"
    tracks = [
        Track(0, 1, 0.1 + 0.2, (MASK, None), (0.6, None)),
        Track(1, 0, 1e-7, (None, None), (None, None)),
    ]
    entries = results_of(17, tracks, (3, 40))
    assert write_results(str(path), entries) == 2
    assert json.loads(path.read_text()) == [
        {
            "video_id": 17,
            "category_id": 40,
            "score": 0.30000000000000004,
            "segmentations": [MASK, None],
        },
        {"video_id": 17, "category_id": 3, "score": 1e-7, "segmentations": [None, None]},
    ]


def test_no_tracks_are_an_empty_list(tmp_path):
    assert write_results(str(tmp_path / "r.json"), []) == 0
    assert json.loads((tmp_path / "r.json").read_text()) == []


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("old")

    def broken():
        yield from results_of(1, [Track(0, 0, 0.5, (MASK,), (0.5,))], (1,))
        raise RuntimeError("out of frames")

    with pytest.raises(RuntimeError, match="out of frames"):
        write_results(str(path), broken())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="video 4, track 0: score nan"):
        results_of(4, [Track(0, 0, float("nan"), (MASK,), (None,))], (1,))


def test_a_folder_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_results(str(tmp_path / "file" / "r.json"), [])
