"""``wsvis predict`` as its tests call it, and what it leaves."""

from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import open_truth
from wsvis_platform.command.predict import predict

CLASSES = ["cat", "dog", "owl"]
FRAMES = 10
"""More than one chunk of frames."""


def run(films, checkpoint, *videos, **options):
    out = films.parent / "out"
    given = {"score": 0.2, "detections": 5, **options}
    predict(checkpoint=checkpoint, videos=tuple(map(str, videos or [films])), out=str(out), **given)
    return out


def contents(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def film_of(out, name):
    return out / "videos" / name / "tracks.webm"


def check_results(out, lengths):
    """The two files are YouTube-VIS's; gives the number of tracks per video."""
    truth = open_truth(out / "videos.json", need_annotations=False)
    assert truth.classes == tuple(CLASSES)
    assert [video.length for video in truth.videos.values()] == lengths
    loaded = [load() for load in open_results(out / "results.json", truth)]
    for video, length in zip(loaded, lengths, strict=True):
        for track in video.predicted:
            assert len(track.segmentations) == length
            assert track.score > 0
    return [len(video.predicted) for video in loaded]
