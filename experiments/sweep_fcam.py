r"""Sweep f-CAM: amplification A, flow threshold T and the foreground threshold (paper Eq. 2).

Extracts optical flow and class activation maps by Ray Data (once: they are reused by every trial
and every later sweep), then looks for the setting whose pseudo-masks fit the ground truth of the
training frames best, by Ray Tune + Optuna, each setting over several seeds. Two baselines are
always measured: the plain CAM at its own best threshold, and the motion mask alone with the frame's
classes. Every trial goes to MLflow with pictures. Ends with a table, the best configuration as a
file for --config-file, plots, and held-out clips that chose nothing.

    python experiments/sweep_fcam.py
        the embedded synthetic clips; about 5 minutes on 2 cores
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
    from presets import PRESETS

    from wsvis_platform.experiment import parse_experiment

    options, config, preset = parse_experiment("sweep_fcam.py", __doc__ or "", PRESETS)

    # from here on it takes seconds to import what is needed: --help is over by now
    from ray import tune

    from wsvis_platform.baselines import Baseline
    from wsvis_platform.sweep_run import sweep_and_report

    thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    percentiles = [0.6, 0.7, 0.8, 0.85, 0.9, 0.95]
    cameras = ["none", "median", "affine"]
    literal = {
        "fcam.amplification": 2.0,
        "fcam.percentile": 0.8,
        "ir_labels.foreground_threshold": 0.3,
        "fcam.compensation": "none",
    }
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
        first=[literal, {**literal, **_swept(config, literal)}],
        fixed={"literal Eq. 2 (A 2, T 0.8)": literal},
        baselines=[
            Baseline("plain CAM", "cam_quality", {"ir_labels.foreground_threshold": thresholds}),
            Baseline(
                "motion alone",
                "motion_quality",
                {"fcam.percentile": percentiles, "fcam.compensation": cameras},
            ),
        ],
        prepare=("flow", "cam"),
        axes=("fcam.amplification", "fcam.percentile"),
    )


def _swept(config: object, names: dict[str, object]) -> dict[str, object]:
    from wsvis.config_checks import flatten

    flat = flatten(config)
    return {name: flat[name] for name in names}


if __name__ == "__main__":
    run_command(main)
