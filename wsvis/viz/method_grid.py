"""The same frames of a clip under several methods, one row each (as Fig. 6 of the paper).

H W pixels of a frame, N instances.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from wsvis.chosen_instances import kept, none_found
from wsvis.types import FrameInstances
from wsvis.viz.overlays import overlay_instances
from wsvis.viz.strips import captioned_row, matched_ids, stack_strips

GROUND_TRUTH = "ground truth"


def method_grid(
    frames: Sequence[UInt8[np.ndarray, "H W 3"]],
    methods: Mapping[str, Sequence[FrameInstances]],
    truth: Sequence[FrameInstances] | None,
    class_names: Sequence[str],
    *,
    title: str = "",
    min_score: float = 0.3,
    height: int = 130,
    unscored: Collection[str] = (),
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """A row of frames for each method, and one for the ground truth where there is one.

    An instance has the colour of the true object it overlaps most (one to one), so that a colour
    that changes or goes from frame to frame is an object mistaken or missed.

    Args:
        frames: RGB, in order of time.
        methods: name -> what it finds in each of the frames.
        truth: what is there.
        class_names: name of each label 0..C-1.
        title: one line above.
        min_score: detections that score less are not drawn.
        height: of each picture, in pixels.
        unscored: methods whose scores tell nothing: they are not written.
    """
    for name, frames_of_method in methods.items():
        if len(frames_of_method) != len(frames):
            raise ValueError(f"{name} has {len(frames_of_method)} frames, not {len(frames)}")
    true_frames = truth or [none_found()] * len(frames)
    rows = []
    if truth is not None:
        drawn = [
            overlay_instances(frame, truth_frame, class_names, show_scores=False)
            for frame, truth_frame in zip(frames, truth, strict=True)
        ]
        rows.append(captioned_row(GROUND_TRUTH, drawn, height))
    for name, frames_of_method in methods.items():
        drawn = []
        for frame, predicted, truth_frame in zip(
            frames, frames_of_method, true_frames, strict=True
        ):
            shown = kept(predicted, min_score)
            ids = matched_ids(shown, truth_frame)
            drawn.append(
                overlay_instances(
                    frame, shown, class_names, ids=ids, show_scores=name not in unscored
                )
            )
        rows.append(captioned_row(name, drawn, height))
    return stack_strips(rows, title)
