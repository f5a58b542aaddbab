"""Data sets as MLflow shows them: the inputs of a run, with a column and a filter of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from wsvis.data.config import DataConfig
from wsvis.types import Dataset

_DIGEST = 12
"""Letters of a fingerprint that tell data sets apart; MLflow shows them beside the name."""


def data_inputs(config: DataConfig, dataset: Dataset, held_out: Dataset | None = None) -> list[Any]:
    """MLflow's entities for ``log_inputs``: the training videos and the held-out ones.

    Args:
        config: names the place of the videos.
        dataset: the training videos.
        held_out: those that were only measured on.
    """
    sides = {"training": dataset, **({"held-out": held_out} if held_out else {})}
    return [_input(config, side, context) for context, side in sides.items()]


def missing_inputs(inputs: Sequence[Any], logged: Sequence[Any]) -> list[Any]:
    """Those that a run does not have yet."""
    known = {(each.dataset.name, each.dataset.digest) for each in logged}
    return [each for each in inputs if (each.dataset.name, each.dataset.digest) not in known]


def _input(config: DataConfig, videos: Dataset, context: str) -> Any:
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    about = {
        "videos": len(videos.videos),
        "frames": sum(video.length for video in videos.videos),
        "classes": list(videos.classes),
        "split": context,
        "fingerprint": videos.fingerprint,
    }
    entity = Entity(
        videos.name,
        videos.fingerprint[:_DIGEST],
        "local" if config.path else "code",
        json.dumps({"uri": config.path or "wsvis.data.synthetic"}),
        profile=json.dumps(about),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", context)])
