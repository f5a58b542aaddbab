"""A throw-away system: what a guest has to say of itself."""

from guest.segmenter.network import Segmenter, SegmenterLearner
from wsvis.systems.base import System


def build(settings, trunk, classes, normalisation):
    return Segmenter(trunk, classes, normalisation)


def learner(settings, network, group, wrapped):
    rates = settings.detector
    return SegmenterLearner(
        network,
        learning_rate=rates.learning_rate,
        backbone_rate_factor=rates.backbone_rate_factor,
        group=group,
        wrapped=wrapped,
    )


SEGMENTER = System(settings=(), build=build, learner=learner, rebuild=build)
