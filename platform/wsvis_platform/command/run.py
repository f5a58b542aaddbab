r"""``wsvis run``: from videos and class labels to masks, tracks, films and a trained detector.

Reads a folder of videos with a labels.csv (columns video, first_frame, last_frame, class), or any
other data set. Makes masks straight from class maps, flowIRN's labels, a detector with MaskConsist
and tracks; stops after any of them. Needs no annotated masks; where there are some it measures too.

    wsvis run --videos CLIPS --out OUT
    wsvis run --videos CLIPS --out OUT --stop-after masks
        seconds to minutes; the same command without the last option goes on from there
    wsvis run --data.path instances.json --out OUT --classifier.weights mobilenet_v2.pth
        a YouTube-VIS JSON, weights from a file

OUT/report.html shows everything; OUT/films, OUT/masks (DAVIS), OUT/results.json (YouTube-VIS),
OUT/coco.json and OUT/detector.safetensors are for other programs. ``wsvis predict --run OUT
--videos MORE`` looks at other videos with the detector.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.presets import PRESETS
from wsvis_platform.options import ClipRunOptions
from wsvis_platform.study.experiment import parse_experiment

DEFAULT_PRESET = "clips"
_LABELS = (
    "--labels is a setting of experiments; here --learn-from auto, fcam or flowirn says what the "
    "detector learns from"
)


def run(arguments: Sequence[str]) -> None:
    """``wsvis run``: parse the options, then do it.

    Raises:
        InputError: an option or the data cannot be used; one line.
    """
    if any(word.split("=")[0] == "--labels" for word in arguments):
        raise InputError(_LABELS)
    options, config, preset = parse_experiment(
        "wsvis run", __doc__ or "", whole_sets(PRESETS), ClipRunOptions, arguments, DEFAULT_PRESET
    )
    if config.labels != Config.labels:  # by a file of settings
        raise InputError(_LABELS)
    config = replace(config, data=replace(config.data, path=_path(options, config)))

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.run.clip_run import run_clips

    run_clips(config, options, preset, f"wsvis run {shlex.join(arguments)}")


def whole_sets(presets: Mapping[str, Callable[[], Config]]) -> dict[str, Callable[[], Config]]:
    """The presets with every video in use: nothing is held out unless it is asked for."""

    def whole(preset: Callable[[], Config]) -> Callable[[], Config]:
        def make() -> Config:
            config = preset()
            return replace(config, data=replace(config.data, kind="auto", split="all"))

        return make

    return {name: whole(preset) for name, preset in presets.items()}


def _path(options: ClipRunOptions, config: Config) -> str:
    if options.videos and config.data.path:
        raise InputError(
            f"--videos {options.videos} and --data.path {config.data.path} both name the data; "
            "give one"
        )
    path = options.videos or config.data.path
    if not path and config.data.kind == "auto":
        raise InputError(
            "--videos is empty; give a folder of videos with a labels.csv (wsvis data synth DIR "
            "--as-videos writes one to try)"
        )
    return path
