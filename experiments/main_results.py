r"""Tables 1 and 3 of the paper: frames and whole videos, from class labels to the upper bound.

Mask R-CNN on IRN's labels, MaskConsist on flowIRN's (ours), a second MaskConsist on what the first
one finds (ours, self-training), and Mask R-CNN on the annotated masks (the upper bound), over
several seeds. Table 1 has AP of single frames, Table 3 that of tracks made by Forest Path Cutting,
on held-out clips as in the paper. Results that other scripts have left in the same folder are used.

    python experiments/main_results.py
        the embedded synthetic clips, 3 seeds: 12 detectors, 6 of them shared with Table 6
    python experiments/main_results.py --preset davis-mini --seeds 0 \
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
        "main_results.py", __doc__ or "", PRESETS, AblationOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.report.tables import Columns
    from wsvis_platform.study.ablation import Variant, ablation_and_report

    irn = {"fcam.amplification": 1.0, "flow_boundary.weight": 0.0}
    plain, full = {"maskconsist.enabled": False}, {"maskconsist.enabled": True}
    frames = ("AP50",)
    tracks = ("video AP", "video AP50", "video AP75", "AR1", "AR10")

    def paper(ap50: float, *of_tracks: float) -> dict[str, float]:
        return {"AP50": ap50, **dict(zip(tracks, of_tracks, strict=False))}

    ablation_and_report(
        "main_results",
        config,
        options,
        preset=preset,
        title="Main results.",
        variants=[
            Variant("IRN", {**irn, **plain}, paper(29.64, 10.8, 26.4, 7.7, 12.6, 14.4)),
            Variant("ours", full, paper(34.66, 14.1, 34.4, 9.4, 16.0, 17.9)),
            Variant(
                "ours, self-training",
                {**full, "labels": "self_labels"},
                paper(36.0),
                against="ours",
            ),
            Variant(
                "supervised Mask R-CNN",
                {**plain, "labels": "truth_labels"},
                paper(78.24),
                against="ours",
            ),
        ],
        targets=["prediction_quality", "track_quality"],
        tables=[
            Columns(
                ("ap50", "ap75", "miou", "instances_per_frame"),
                sides=("held-out", "training"),
                paper=frames,
                name="table_1_frames",
                title="Table 1, single frames.",
            ),
            Columns(
                ("video_ap", "video_ap50", "video_ap75", "video_ar1", "video_ar10"),
                gains=("video_ap50",),
                sides=("held-out",),
                paper=tracks,
                name="table_3_videos",
                title="Table 3, tracks.",
            ),
        ],
    )


if __name__ == "__main__":
    run_command(main)
