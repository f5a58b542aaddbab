import subprocess
import sys

import numpy as np
import pytest

import wsvis
from wsvis.errors import InputError

SMALL = {
    "classifier.epochs": 0.2,
    "irn.epochs": 0.2,
    "detector.steps": 2,
    "walk.steps": 16,
    "walk.refinements": 20,
}


@pytest.fixture(scope="module")
def clips():
    return wsvis.load_dataset(videos=2, synthetic_videos=6)


def test_masks_numbers_and_a_picture_of_the_embedded_clips(clips):
    results = wsvis.run(wsvis.preset("cpu", SMALL), clips)
    video = clips.videos[0]
    assert len(results.instances(video.id)) == video.length
    numbers = wsvis.evaluate(results)
    assert 0 <= numbers["ap25"] <= 1
    assert numbers["frames"] == sum(v.length for v in clips.videos)
    picture = wsvis.draw(results, video.id, frame=2)
    assert picture.shape == (video.height, video.width, 3)
    assert not np.array_equal(picture, wsvis.draw(results, video.id, frame=3))


@pytest.mark.slow
def test_tracks_of_the_embedded_clips(clips):
    results = wsvis.run(wsvis.preset("cpu", SMALL), clips, until="tracks")
    video = clips.videos[0]
    assert all(len(t.segmentations) == video.length for t in results.tracks(video.id))
    assert "video_ap50" in wsvis.evaluate(results)
    assert wsvis.draw(results, video.id).shape == (video.height, video.width, 3)
    with pytest.raises(InputError, match=r"call \.tracks"):
        results.instances(video.id)


def test_wrong_names_are_answered_with_the_right_ones(clips):
    with pytest.raises(InputError, match="did you mean 'cpu'"):
        wsvis.preset("cpi")
    with pytest.raises(InputError, match=r"fcam\.amplification"):
        wsvis.preset("cpu", {"fcam.amplificatoin": 2.0})
    with pytest.raises(InputError, match="did you mean 'masks'"):
        wsvis.run(wsvis.preset(), clips, until="mask")
    results = wsvis.library.Results(wsvis.preset(), clips, "masks", {})
    with pytest.raises(InputError, match="no video is called 'x'"):
        wsvis.draw(results, "x")
    with pytest.raises(InputError, match="frames 0 to"):
        wsvis.draw(results, clips.videos[0].id, frame=10_000)
    with pytest.raises(InputError, match="no result for video"):
        results.instances(clips.videos[0].id)
    with pytest.raises(InputError, match="until='tracks'"):
        results.tracks(clips.videos[0].id)


def test_the_five_functions_are_there_and_cost_nothing_until_used():
    code = (
        "import sys, wsvis; assert 'numpy' not in sys.modules; "
        "print(sorted(n for n in wsvis.__all__ if callable(getattr(wsvis, n))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['draw', 'evaluate', 'load_dataset', 'preset', 'run']"
    with pytest.raises(AttributeError):
        wsvis.nothing  # noqa: B018
