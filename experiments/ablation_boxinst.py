r"""BoxInst on class labels: how far boxes alone go, true ones and those of flowIRN's labels.

CondInst on the annotated masks (the upper bound), BoxInst on their boxes, with and without its
pairwise loss, BoxInst on the boxes of flowIRN's labels, for which class labels per frame are
enough, and beside them Mask R-CNN and MaskConsist on flowIRN's masks. Detectors that learn from
single frames see two per step, as those that learn from pairs do. Everything up to the labels is
computed once for all rows.

    python experiments/ablation_boxinst.py
        the embedded synthetic clips, 3 seeds: 18 detectors
    python experiments/ablation_boxinst.py --rows 1 2 3 --seeds 0
        the three rows on annotations alone
    python experiments/ablation_boxinst.py --preset davis-mini --seeds 0 \
        --data.path CLIPS/instances.json --classifier.weights mobilenet_v2.pth
        real clips in YouTube-VIS format
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the variants, measure them."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import AblationOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "ablation_boxinst.py", __doc__ or "", PRESETS, AblationOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.report.tables import Columns
    from wsvis_platform.study.ablation import Variant, ablation_and_report

    truth = {"labels": "truth_labels"}
    frames = {"detector.batch_size": 2 * config.detector.batch_size}
    boxinst = {"system": "boxinst", **frames}
    plain, full = {"maskconsist.enabled": False}, {"maskconsist.enabled": True}
    ablation_and_report(
        "ablation_boxinst",
        config,
        options,
        preset=preset,
        title="Detectors from masks and from boxes.",
        variants=[
            Variant("CondInst, true masks", {"system": "condinst", **frames, **truth}),
            Variant("BoxInst, true boxes", {**boxinst, **truth}),
            Variant("BoxInst without pairwise", {**boxinst, **truth, "boxinst.pairwise": 0.0}),
            Variant("BoxInst, flowIRN's boxes", boxinst),
            Variant("Mask R-CNN, flowIRN's masks", plain),
            Variant("MaskConsist, flowIRN's masks", full),
        ],
        targets=["prediction_quality", "track_quality"],
        tables=[
            Columns(
                ("ap50", "ap75", "ap25", "miou", "video_ap50"),
                gains=("ap50",),
                sides=("held-out", "training"),
            )
        ],
    )


if __name__ == "__main__":
    run_command(main)
