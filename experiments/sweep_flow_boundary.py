r"""Sweep the flow-boundary loss (paper Eq. 3): lambda, its weight, and which derivatives make F'.

The quality of flowIRN's pseudo-labels over lambda, by Ray Tune + Optuna; everything up to the IR
labels is computed once and shared by all trials. Plain IRN and f-CAM without the loss are measured
beside it. Ends with a table, the best configuration as a file, plots, and held-out clips.

    python experiments/sweep_flow_boundary.py
        the embedded synthetic clips on 2 cores, about 10 minutes
    python experiments/sweep_flow_boundary.py --config-file BEST_CONFIG.json
        at the f-CAM setting that sweep_fcam.py found
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the space, run the sweep."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import SweepOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "sweep_flow_boundary.py", __doc__ or "", PRESETS, SweepOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from ray import tune

    from wsvis_platform.study.baselines import Baseline
    from wsvis_platform.study.sweep import sweep_and_report

    literal = {
        "flow_boundary.regularization": 2.0,
        "flow_boundary.weight": 1.0,
        "flow_boundary.gradient": "jacobian",
    }
    target = "pseudo_label_quality"
    sweep_and_report(
        "sweep_flow_boundary",
        config,
        options,
        preset=preset,
        space={
            # the break-even of Eq. 3 lies at a flow jump of about four lambda
            "flow_boundary.regularization": tune.loguniform(0.05, 8.0),
            "flow_boundary.weight": tune.loguniform(0.1, 4.0),
            "flow_boundary.gradient": tune.choice(["jacobian", "diagonal", "magnitude"]),
        },
        first=[literal, {**literal, "flow_boundary.regularization": 0.3}],
        fixed={"literal Eq. 3 (lambda 2)": literal},
        baselines=[
            Baseline(
                "plain IRN",
                target,
                {"fcam.amplification": [1.0], "flow_boundary.weight": [0.0]},
            ),
            Baseline("IRN + f-CAM", target, {"flow_boundary.weight": [0.0]}),
        ],
        prepare=("ir_labels",),
        axes=("flow_boundary.regularization", "flow_boundary.weight"),
    )


if __name__ == "__main__":
    run_command(main)
