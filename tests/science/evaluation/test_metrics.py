"""The table of metrics names what the quality stages store, and nothing else."""

import pytest

from wsvis.config import Config
from wsvis.data.synthetic import synthetic_dataset
from wsvis.evaluation.metrics import METRICS, OBJECTIVES, OF_DETECTORS, heading, shown_with
from wsvis.evaluation.stages import consistency, quality, track_quality
from wsvis.pipeline import BY_NAME

COUNTS = {"frames", "videos", "pairs"}
"""Numbers of a quality stage that say how much was measured."""


class Nothing:
    """Inputs of which every video was set aside."""

    def video(self, role, video_id):
        return None

    def whole(self, role):
        raise KeyError(role)


@pytest.mark.parametrize(
    ("measure", "stem"),
    [(quality, "prediction"), (track_quality, "track"), (consistency, "consistency")],
)
def test_a_stage_stores_the_metrics_of_the_table(measure, stem):
    data = measure(Config(), synthetic_dataset("train", 3), Nothing(), None).data
    assert set(data) - COUNTS == {m.name for m in METRICS.values() if stem in m.stages}


def test_objectives_name_stages_that_exist_and_metrics_they_store():
    assert OBJECTIVES["pseudo_label_ap50"] == ("pseudo_label_quality", "ap50")
    assert OBJECTIVES["video_ap50"] == ("track_quality", "video_ap50")
    assert OBJECTIVES["tc"] == ("consistency", "tc")
    for stage, metric in OBJECTIVES.values():
        assert BY_NAME[stage].whole is not None
        assert METRICS[metric].share
    assert set(OF_DETECTORS) < set(OBJECTIVES)
    assert not any(name.startswith("pseudo") for name in OF_DETECTORS)


def test_headings_are_unlike_and_an_objective_comes_first():
    assert len({heading(name) for name in METRICS}) == len(METRICS)
    assert heading("unheard_of") == "unheard_of"
    assert shown_with("tc") == ("tc", "ap50", "ap25", "miou")
    assert shown_with("miou") == ("miou", "ap50", "ap25")
