r"""Table 6 of the paper: does MaskConsist help whatever made the pseudo-labels?

Plain Mask R-CNN and MaskConsist on the labels of IRN and on those of flowIRN, over several seeds:
AP50 and TC (temporal consistency) on held-out clips, as in the paper, and on the clips of the
training; beside them AP of tracks, which the paper gives in Table 3. MaskConsist's gains are
against Mask R-CNN on the same labels. Everything that two rows share is computed once, also what
ablation_maskconsist.py has left in the same folder. The paper's other label maker (WISE) is not
here.

    python experiments/ablation_generality.py
        the embedded synthetic clips, 3 seeds: 12 detectors, 6 of them shared with Table 5
    python experiments/ablation_generality.py --preset davis-mini --seeds 0 --rows 3 4 \
        --data.path CLIPS/instances.json --classifier.weights mobilenet_v2.pth
        the two rows on flowIRN's labels, on real clips in YouTube-VIS format
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the variants, measure them."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import AblationOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "ablation_generality.py", __doc__ or "", PRESETS, AblationOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.report.tables import Columns
    from wsvis_platform.study.ablation import Variant, ablation_and_report

    irn = {"fcam.amplification": 1.0, "flow_boundary.weight": 0.0}
    plain, full = {"maskconsist.enabled": False}, {"maskconsist.enabled": True}

    def paper(youtube: float, cityscapes: float, consistency: float) -> dict[str, float]:
        return {"YTVIS": youtube, "Cityscapes": cityscapes, "TC": consistency}

    ablation_and_report(
        "ablation_generality",
        config,
        options,
        preset=preset,
        title="Detectors on labels of IRN and flowIRN (Table 6).",
        variants=[
            Variant("IRN, Mask R-CNN", {**irn, **plain}, paper(29.64, 12.33, 80.98)),
            Variant("IRN, MaskConsist", {**irn, **full}, paper(31.51, 14.72, 82.04)),
            Variant("flowIRN, Mask R-CNN", plain, paper(31.43, 14.66, 80.43)),
            Variant(
                "flowIRN, MaskConsist",
                full,
                paper(34.66, 16.05, 84.36),
                against="flowIRN, Mask R-CNN",
            ),
        ],
        targets=["prediction_quality", "consistency", "track_quality"],
        tables=[
            Columns(
                ("ap50", "tc", "video_ap", "video_ap50"),
                gains=("ap50", "tc"),
                sides=("held-out", "training"),
            )
        ],
    )


if __name__ == "__main__":
    run_command(main)
