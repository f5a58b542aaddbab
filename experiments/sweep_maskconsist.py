r"""Sweep MaskConsist: delta, the IoM threshold and the box IoU threshold (paper Sec. 3.3, 4.2).

What the detector finds on the frames it was trained on, over the frames between the two of a pair
and the two thresholds, by Ray Tune + Optuna. Everything up to the pseudo-labels is computed once
and shared by all trials; a trial trains a detector, seed after seed. Plain Mask R-CNN on the same
labels is measured beside it. Ends with a table, the best configuration as a file, plots, and
held-out clips that chose nothing.

    python experiments/sweep_maskconsist.py
        the embedded synthetic clips
    python experiments/sweep_maskconsist.py --config-file BEST_CONFIG.json
        on the labels of the setting that sweep_fcam.py or sweep_flow_boundary.py found
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the space, run the sweep."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import PredictionSweepOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "sweep_maskconsist.py", __doc__ or "", PRESETS, PredictionSweepOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from ray import tune

    from wsvis.settings import flatten
    from wsvis_platform.study.baselines import Baseline
    from wsvis_platform.study.sweep import sweep_and_report

    own_delta = config.pairs.delta
    literal = {
        "pairs.delta": own_delta,
        "maskconsist.iom_threshold": 0.5,
        "maskconsist.box_iou_threshold": 0.5,
    }
    preset_setting = {name: flatten(config)[name] for name in literal}
    sweep_and_report(
        "sweep_maskconsist",
        config,
        options,
        preset=preset,
        space={
            "pairs.delta": tune.choice(sorted({1, 2, 3, 5, own_delta})),
            "maskconsist.iom_threshold": tune.uniform(0.2, 0.95),
            "maskconsist.box_iou_threshold": tune.uniform(0.2, 0.8),
        },
        first=[literal] if preset_setting == literal else [literal, preset_setting],
        fixed={"the paper's thresholds (0.5, 0.5)": literal},
        baselines=[Baseline("Mask R-CNN", options.target, {"maskconsist.enabled": [False]})],
        prepare=("pseudo_labels", "pair_flow"),
        axes=("maskconsist.iom_threshold", "maskconsist.box_iou_threshold"),
    )


if __name__ == "__main__":
    run_command(main)
