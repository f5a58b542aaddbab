"""Stored labels as files for other programs."""

from __future__ import annotations

from pathlib import Path

from wsvis.data.write_ytvis import write_pseudo_labels
from wsvis.payload import payload_to_instances
from wsvis.pipeline import LABEL_SOURCES
from wsvis.plan import shown_stage
from wsvis.types import Dataset, FrameInstances
from wsvis_platform.results import Row
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs


def write_labels(folder: Path, name: str, row: Row, dataset: Dataset, store: Store) -> list[Path]:
    """Labels of a setting's first seed as YouTube-VIS JSON, where it is labels that it makes.

    Args:
        folder: for the file.
        name: of the setting, in the file's name.
        row: of a table; its target says what was measured.
        dataset: the videos.
        store: of the results.
    """
    stage, measurement = shown_stage(row.target), row.measurement
    if stage not in LABEL_SOURCES:
        return []
    inputs = StoreInputs.of_keys(store, measurement.keys[0])

    def labels(video: str) -> list[FrameInstances] | None:
        payload = inputs.video(stage, video)
        return None if payload is None else payload_to_instances(payload)

    file = folder / f"{stage}_{name}_seed{measurement.seeds[0]}.json"
    write_pseudo_labels(dataset, labels, file)
    return [file]
