r"""Table 6 of the paper: does MaskConsist help whatever made the pseudo-labels? AP50 only.

Plain Mask R-CNN and MaskConsist on the labels of IRN and on those of flowIRN, over several seeds,
on the frames of the training and on held-out clips. Everything that two rows share is computed
once. The paper's other label maker (WISE) and its column TC are not here.

    python experiments/ablation_generality.py
        the embedded synthetic clips, 3 seeds: 12 detectors
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the variants, measure them."""
    from presets import PRESETS

    from wsvis_platform.experiment import parse_experiment
    from wsvis_platform.options import AblationOptions

    options, config, preset = parse_experiment(
        "ablation_generality.py", __doc__ or "", PRESETS, AblationOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.ablation import Variant, ablation_and_report

    irn = {"fcam.amplification": 1.0, "flow_boundary.weight": 0.0}
    plain, full = {"maskconsist.enabled": False}, {"maskconsist.enabled": True}
    ablation_and_report(
        "ablation_generality",
        config,
        options,
        preset=preset,
        title="Detectors on labels of IRN and flowIRN (Table 6).",
        variants=[
            Variant("IRN, Mask R-CNN", {**irn, **plain}, {"YTVIS": 29.64, "Cityscapes": 12.33}),
            Variant("IRN, MaskConsist", {**irn, **full}, {"YTVIS": 31.51, "Cityscapes": 14.72}),
            Variant("flowIRN, Mask R-CNN", plain, {"YTVIS": 31.43, "Cityscapes": 14.66}),
            Variant("flowIRN, MaskConsist", full, {"YTVIS": 34.66, "Cityscapes": 16.05}),
        ],
        target="prediction_quality",
    )


if __name__ == "__main__":
    run_command(main)
