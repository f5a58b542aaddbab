"""Labels from a detector and from annotations, and the second and third training on them."""

from dataclasses import replace

import numpy as np
import pytest

from reference.clips_on_disk import HEIGHT, WIDTH, rectangle
from science.systems.test_detectors_stages import SMALL
from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.errors import InputError
from wsvis.one_machine import run_pipeline
from wsvis.payload import instances_to_payload, payload_to_instances
from wsvis.settings import with_overrides
from wsvis.systems.labels import self_labels, truth_labels
from wsvis.systems.train import training_clips
from wsvis.types import Dataset, FrameFiles, FrameInstances, Instance, Video


def frame(*found):
    masks = tuple(rectangle(2, 3 + n, 9, 12 + n) for n in range(len(found)))
    labels, scores = zip(*found, strict=True) if found else ((), ())
    return FrameInstances(np.array(labels, np.int64), np.array(scores, np.float32), masks)


def video(labels, instances=None):
    files = FrameFiles(tuple(f"{n}.png" for n in range(len(labels))))
    return Video("v", HEIGHT, WIDTH, labels, files, instances)


def told(found):
    return [list(zip(f.labels.tolist(), f.scores.tolist(), strict=True)) for f in found]


def test_confident_detections_of_the_frames_own_classes_become_labels():
    found = [frame((0, 0.5), (1, 0.9), (0, 0.25)), frame((1, 0.75)), frame((0, 0.4))]
    process = self_labels(Config(), {})
    labels = process(video(((0,), (0, 1), ())), {"predictions": instances_to_payload(found)})
    chosen = payload_to_instances(labels)
    # class 1 is no label of the first frame; .5 itself is enough; nothing is left of the last
    assert told(chosen) == [[(0, 0.5)], [(1, 0.75)], []]
    assert chosen[0].masks == found[0].masks[:1]


def test_the_floor_and_the_classes_are_switches():
    config = with_overrides(
        Config(), {"self_training.score": 0.8, "self_training.frame_classes": False}
    )
    found = {"predictions": instances_to_payload([frame((0, 0.5), (1, 0.9))])}
    labels = self_labels(config, {})(video(((0,),)), found)
    assert told(payload_to_instances(labels)) == [[(1, pytest.approx(0.9))]]


def test_annotated_masks_become_labels_without_crowds_and_absent_objects():
    here, gone = rectangle(2, 3, 9, 12), None
    one = Instance(7, 2, (here, gone))
    crowd = Instance(8, 1, (here, here), is_crowd=True)
    labels = truth_labels(Config(), {})(video(((1, 2), (1,)), (one, crowd)), {})
    found = payload_to_instances(labels)
    assert told(found) == [[(2, 1.0)], []]
    assert found[0].masks == (here,)


def test_without_annotations_there_is_no_upper_bound():
    with pytest.raises(InputError, match="video v has no annotated masks"):
        truth_labels(Config(), {})(video(((0,),)), {})


class NoLabels:
    """A store in which every frame of the one video is without a label."""

    def video(self, stage, name):
        return instances_to_payload([frame(), frame()])

    def whole(self, stage):
        raise KeyError(stage)


def test_a_detector_that_found_nothing_says_which_floor_to_lower():
    data = Dataset("clips", ("x",), (video(((0,), (0,))),), "")
    config = with_overrides(Config(), {"pairs.delta": 1, "labels": "self_labels"})
    with pytest.raises(
        InputError, match=r"lower pairs\.delta or detector\.label_score.* self_training\.score"
    ):
        training_clips(config, data, NoLabels())


@pytest.mark.slow
def test_self_training_and_the_upper_bound_run_and_are_measured():
    config = with_overrides(
        SMALL,
        {"self_training.score": 0.0, "self_training.frame_classes": False, "detector.steps": 2},
    )
    data = load_dataset(config.data)
    targets = ["prediction_quality", "track_quality", "consistency"]
    learned = {}
    for labels in ("pseudo_labels", "self_labels", "truth_labels"):
        found = run_pipeline(replace(config, labels=labels), data, targets)
        for name in targets:
            assert found[name].data["videos"] == len(data.videos)
        learned[labels] = found["system"].data["training"]["loss"]
        if labels == "self_labels":  # its teacher is the detector of the first run
            assert found["teacher:system"].data["training"]["loss"] == learned["pseudo_labels"]
    # frames and their flow are shared, labels and networks are not
    assert len(set(learned.values())) == 3
    clip = data.videos[0]
    truth = payload_to_instances(found["truth_labels"][clip.id])
    shown = [i for i in clip.instances if i.segmentations[0] is not None]
    assert truth[0].labels.tolist() == [i.label for i in shown]
    assert set(found["consistency"].data) == {"tc", "pairs", "videos"}
    assert found["consistency"].data["pairs"] == sum(v.length - 1 for v in data.videos)
