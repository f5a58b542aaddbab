r"""Sweep f-CAM: amplification A, flow threshold T, foreground threshold, camera (paper Eq. 2).

Extracts optical flow and class activation maps by Ray Data (once: they are reused by every trial
and every later sweep), then looks for the setting with the best flowIRN pseudo-labels, or with
--objective pseudo_mask_ap50 the best masks straight from f-CAM, by Ray Tune + Optuna. A trial
trains flowIRN on its labels, seed after seed; one that is behind after its first seed is pruned.
Always measured beside it: the plain CAM at its own best threshold, the motion mask alone with the
frame's classes, and plain IRN. Every trial goes to MLflow with pictures. Ends with a table, the
best configuration as a file for --config-file, plots, and held-out clips that chose nothing.

    python experiments/sweep_fcam.py
        the embedded synthetic clips on 2 cores: README tells the minutes
    python experiments/sweep_fcam.py --objective pseudo_mask_ap50 --num-samples 16
        without flowIRN, about 5 minutes
    python experiments/sweep_fcam.py --preset davis-mini --data.path CLIPS/instances.json \
        --classifier.weights mobilenet_v2.pth
        real clips in YouTube-VIS format
    python experiments/sweep_fcam.py --num-samples 0 --config-file BEST_CONFIG.json
        measure a found setting again
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the space, run the sweep."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import SweepOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "sweep_fcam.py", __doc__ or "", PRESETS, SweepOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from ray import tune

    from wsvis.settings import flatten
    from wsvis_platform.study.baselines import Baseline
    from wsvis_platform.study.sweep import sweep_and_report

    thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    percentiles = [0.6, 0.7, 0.8, 0.85, 0.9, 0.95]
    cameras = ["none", "median", "affine"]
    literal = {
        "fcam.amplification": 2.0,
        "fcam.percentile": 0.8,
        "ir_labels.foreground_threshold": 0.3,
        "fcam.compensation": "none",
    }
    baselines = [
        Baseline("plain CAM", "cam_quality", {"ir_labels.foreground_threshold": thresholds}),
        Baseline(
            "motion alone",
            "motion_quality",
            {"fcam.percentile": percentiles, "fcam.compensation": cameras},
        ),
    ]
    if options.target == "pseudo_label_quality":
        plain = {"fcam.amplification": [1.0], "flow_boundary.weight": [0.0]}
        baselines.append(Baseline("plain IRN", "pseudo_label_quality", plain))
    sweep_and_report(
        "sweep_fcam",
        config,
        options,
        preset=preset,
        space={
            "fcam.amplification": tune.uniform(1.0, 6.0),
            "fcam.percentile": tune.uniform(0.5, 0.97),
            "ir_labels.foreground_threshold": tune.uniform(0.1, 0.9),
            "fcam.compensation": tune.choice(cameras),
        },
        # the paper's own setting first, then the preset's
        first=[literal, {name: flatten(config)[name] for name in literal}],
        fixed={"literal Eq. 2 (A 2, T 0.8)": literal},
        baselines=baselines,
        prepare=("flow", "cam"),
        axes=("fcam.amplification", "fcam.percentile"),
    )


if __name__ == "__main__":
    run_command(main)
