r"""Table 4 of the paper: IRN, + f-Bound (Eq. 3), + f-CAM (Eq. 2), and both = flowIRN.

Measures instance pseudo-labels on the frames they were made for, over several seeds, and on
held-out clips with the networks of the training clips. Shared stages are computed once for all
variants. Leaves the table as Markdown, LaTeX and JSON (every cell with the stored results behind
it), pictures of every variant, and MLflow runs.

    python experiments/ablation_flowirn.py
        the embedded synthetic clips, 3 seeds, on 2 cores: README tells the minutes
    python experiments/ablation_flowirn.py --thresholds 0.2 0.3 0.45
        each variant at its own best foreground threshold
    python experiments/ablation_flowirn.py --preset davis-mini --data.path CLIPS/instances.json \
        --classifier.weights mobilenet_v2.pth --seeds 0 --cameras none median
        real clips in YouTube-VIS format, without and with the camera's motion taken out
"""

from __future__ import annotations

from wsvis_platform.console import run_command


def main() -> None:
    """Parse the options, name the variants, measure them."""
    from wsvis.presets import PRESETS
    from wsvis_platform.options import FlowirnOptions
    from wsvis_platform.study.experiment import parse_experiment

    options, config, preset = parse_experiment(
        "ablation_flowirn.py", __doc__ or "", PRESETS, FlowirnOptions
    )

    # from here on it takes seconds to import what is needed: --help is over by now
    from wsvis_platform.study.ablation import Variant, ablation_and_report

    no_fcam, no_bound = {"fcam.amplification": 1.0}, {"flow_boundary.weight": 0.0}
    variants = [
        Variant("IRN", {**no_fcam, **no_bound}, {"YTVIS": 25.42, "Cityscapes": 8.46}),
        Variant("+ f-Bound", no_fcam, {"YTVIS": 26.60, "Cityscapes": 9.51}),
    ]
    for camera in options.cameras or (config.fcam.compensation,):
        of_camera = {"fcam.compensation": camera}
        # the paper takes no camera motion out
        paper = [{"YTVIS": 27.47, "Cityscapes": 10.55}, {"YTVIS": 28.45, "Cityscapes": 10.75}]
        if len(options.cameras) > 1 and camera != "none":
            paper = [{}, {}]
        note = f" (camera {camera})" if options.cameras else ""
        variants += [
            Variant(f"+ f-CAM{note}", {**no_bound, **of_camera}, paper[0]),
            Variant(f"flowIRN{note}", of_camera, paper[1]),
        ]
    ablation_and_report(
        "ablation_flowirn",
        config,
        options,
        preset=preset,
        title="Instance pseudo-labels (Table 4).",
        variants=variants,
        targets=["pseudo_label_quality"],
    )


if __name__ == "__main__":
    run_command(main)
