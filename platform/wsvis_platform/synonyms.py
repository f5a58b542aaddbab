"""What people type for an option, and what it is called: the answer to an unknown name."""

from __future__ import annotations

from collections.abc import Sequence

from wsvis.settings import RENAMED, suggestion

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "gpu": ("--gpus",),
    "num-gpus": ("--gpus",),
    "device": ("--gpus",),
    "cuda": ("--gpus",),
    "cpus": ("--workers",),
    "num-workers": ("--workers",),
    "jobs": ("--workers",),
    "lr": ("learning-rate",),
    "learning-rate": ("learning-rate",),
    "batch": ("batch-size", "detector.batch_size"),
    "batch-size": ("batch-size", "detector.batch_size"),
    "epoch": ("epochs", "detector.steps"),
    "epochs": ("epochs", "detector.steps"),
    "steps": ("detector.steps",),
    "iterations": ("detector.steps",),
    "data": ("--videos", "--data.path"),
    "dataset": ("--videos", "--data.path"),
    "input": ("--videos", "--data.path"),
    "video": ("--videos",),
    "out": ("--out", "--output"),
    "output": ("--out", "--output"),
    "output-dir": ("--out", "--output"),
    "out-dir": ("--out", "--output"),
    "config": ("--config-file",),
    "weights": ("weights",),
    "pretrained": ("classifier.weights", "detector.weights"),
    "backbone": ("backbone",),
    "model": ("classifier.backbone", "--checkpoint"),
    "samples": ("--num-samples",),
    "trials": ("--num-samples",),
    "n-trials": ("--num-samples",),
    "fps": ("data.frames-per-second",),
    "stride": ("data.frame-step",),
    "threshold": ("ir_labels.foreground-threshold", "--score", "--min-score"),
    "lambda": ("flow-boundary.regularization",),
    "amplification": ("fcam.amplification",),
    "percentile": ("fcam.percentile",),
    "delta": ("pairs.delta",),
}
"""Word without dashes -> whole names, or last parts of dotted names."""


def unknown_option(given: str, names: Sequence[str]) -> str:
    """The line for an option that does not exist: what was probably meant.

    Args:
        given: the option as it was typed, perhaps with ``=VALUE``.
        names: the options there are.
    """
    option = given.split("=")[0]
    word = option.strip("-").replace("_", "-").lower()
    renamed = {old.replace("_", "-"): new.replace("_", "-") for old, new in RENAMED.items()}
    if word in renamed:
        return f"no option is called {option}; it is --{renamed[word]} now"
    plain = {name.strip("-").replace("_", "-"): name for name in names}
    meant = [
        name
        for synonym in _SYNONYMS.get(word, ())
        for key, name in plain.items()
        if key == synonym.strip("-").replace("_", "-")
        or ("." not in synonym and not synonym.startswith("--") and key.endswith("." + synonym))
    ]
    if not meant:
        return f"no option is called {option}; {suggestion(option, names)}"
    *most, last = dict.fromkeys(meant)
    return f"no option is called {option}; give {', '.join(most) + ' or ' if most else ''}{last}"
