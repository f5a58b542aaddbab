r"""Table 5 of the paper: Mask R-CNN, and MaskConsist without one of its three parts or with all.

A last row has the other order of IoM-NMS: labels of flowIRN before what was carried over, or the
largest mask before smaller ones.

Trains a detector per row and seed on the pseudo-labels of flowIRN and measures what it finds on
held-out clips that it has never seen, as the paper does, and on the frames it was trained on.
Everything up to the pseudo-labels, and the flow between the frames of a pair, is computed once for
all rows. Leaves the table as Markdown, LaTeX and JSON (every cell with the stored results behind
it), pictures of every row, and MLflow runs.

    python experiments/ablation_maskconsist.py
        the embedded synthetic clips, 3 seeds: 18 detectors (--rows 1 2 3 4 5: the paper's 15)
    python experiments/ablation_maskconsist.py --preset davis-mini --seeds 0 \
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
        "ablation_maskconsist.py", __doc__ or "", PRESETS, AblationOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.report.tables import Columns
    from wsvis_platform.study.ablation import Variant, ablation_and_report

    parts = ("enabled", "intra", "inter", "iom_nms")
    whole = {f"maskconsist.{part}": True for part in parts}

    order = "maskconsist.labels_first"
    other = "largest mask first" if config.maskconsist.labels_first else "labels first"

    def without(part: str) -> dict[str, bool]:
        return {**whole, f"maskconsist.{part}": False}

    ablation_and_report(
        "ablation_maskconsist",
        config,
        options,
        preset=preset,
        title="Detector trained on pseudo-labels (Table 5).",
        variants=[
            Variant("Mask R-CNN", without("enabled"), {"YTVIS": 31.43, "Cityscapes": 14.66}),
            Variant("no intra-frame", without("intra"), {"YTVIS": 33.75, "Cityscapes": 14.92}),
            Variant("no inter-frame", without("inter"), {"YTVIS": 31.08, "Cityscapes": 14.43}),
            Variant("no IoM-NMS", without("iom_nms"), {"YTVIS": 33.65, "Cityscapes": 15.27}),
            Variant("MaskConsist", whole, {"YTVIS": 34.66, "Cityscapes": 16.05}),
            # how much hangs on the order of IoM-NMS, on which the paper says little
            Variant(f"MaskConsist, {other}", {**whole, order: not config.maskconsist.labels_first}),
        ],
        targets=["prediction_quality"],
        tables=[Columns(("ap50", "ap75", "ap25", "miou"), sides=("held-out", "training"))],
    )


if __name__ == "__main__":
    run_command(main)
