"""``wsvis evaluate``: measure result files.

Numbers are shown in percent with two digits and written unrounded, in [0, 1], to ``--json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsvis.errors import InputError
from wsvis.evaluation.config import ConsistencyConfig
from wsvis.flow.config import FlowConfig
from wsvis.systems.config import InferenceConfig
from wsvis_platform.console import Screen
from wsvis_platform.report.evaluate_tables import finish, vis_rows

if TYPE_CHECKING:
    import numpy as np

    from wsvis.evaluation.temporal_consistency import PredictedVideo
    from wsvis.types import FrameInstances


def evaluate_vis(
    *, gt: str, results: str, json: str = "", per_class: bool = False, processes: int = 1
) -> dict[str, Any]:
    """Video instance segmentation: the YouTube-VIS measure of a results file.

    Args:
        gt: ground truth, YouTube-VIS JSON.
        results: list of tracks, YouTube-VIS results JSON.
        json: write every number there, unrounded.
        per_class: also measure each class by itself.
        processes: workers.
    """
    from wsvis.evaluation.report import video_numbers, video_numbers_by_class
    from wsvis.evaluation.video_ap import video_ap
    from wsvis.formats.vis_results import open_results
    from wsvis.formats.vis_truth import open_truth

    _refuse_unless(processes >= 1, f"--processes is {processes}; it must be at least 1")
    with Screen() as screen:
        truth = open_truth(Path(gt))
        videos = open_results(Path(results), truth)
        with screen.bar("measuring videos", len(truth.videos)) as bar:
            measured = video_ap(
                videos,
                len(truth.classes),
                processes,
                lambda progress: bar.update(int(progress["videos"])),
            )
        report: dict[str, Any] = {**video_numbers(measured), "videos": measured.videos}
        if per_class:
            report["classes"] = video_numbers_by_class(measured, truth.classes)
        finish(screen, vis_rows(report), report, json)
    return report


def evaluate_frames(
    *,
    gt: str,
    results: str,
    json: str = "",
    per_class: bool = False,
    score_threshold: float = InferenceConfig.score_threshold,
) -> dict[str, Any]:
    """Instance segmentation of single frames: COCO's AP over all annotated frames.

    Args:
        gt: ground truth, YouTube-VIS JSON.
        results: list of {video_id, frame, category_id, score, segmentation}, or of tracks.
        json: write every number there, unrounded.
        per_class: also measure each class by itself.
        score_threshold: detections with a lower score do not enter (paper: 0.05).
    """
    import numpy as np

    from wsvis.chosen_instances import kept
    from wsvis.evaluation.frame_ap import FrameAp
    from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
    from wsvis.formats.frame_results import found_frames, open_frame_results, true_frames
    from wsvis.formats.vis_truth import open_truth

    with Screen() as screen:
        truth = open_truth(Path(gt))
        places = open_frame_results(Path(results), truth)
        thresholds = (0.25, *COCO_THRESHOLDS)
        measure = FrameAp(len(truth.classes), thresholds)
        frames = instances = 0
        with screen.bar("measuring videos", len(truth.videos)) as bar:
            for done, video in enumerate(truth.videos.values(), start=1):
                detections = found_frames(truth, Path(results), video, places)
                for real, predicted in zip(true_frames(truth, video), detections, strict=True):
                    entering = kept(predicted, score_threshold)
                    measure.add(real, entering)
                    frames, instances = frames + 1, instances + len(entering)
                bar.update(done)
        numbers = measure.numbers()
        report: dict[str, Any] = {name: numbers[name] for name in ("AP", "AP50", "AP75", "AP25")}
        report |= {"frames": frames, "instances_per_frame": instances / frames}
        if per_class:
            rows = dict(zip(thresholds, measure.by_class(), strict=True))
            ap = np.stack([rows[t] for t in COCO_THRESHOLDS]).mean(axis=0)
            at = {"AP50": rows[0.5], "AP75": rows[COCO_THRESHOLDS[5]], "AP25": rows[0.25]}
            report["classes"] = {
                name: {"AP": float(ap[c])} | {key: float(row[c]) for key, row in at.items()}
                for c, name in enumerate(truth.classes)
            }
        finish(screen, [("all", report), *report.get("classes", {}).items()], report, json)
    return report


def evaluate_cityscapes(
    *, gt: str, pred: str, json: str = "", semantic_score: float = 0.3
) -> dict[str, Any]:
    """Cityscapes: the benchmark's instance AP, COCO's AP50 and the semantic IoU beside it.

    Args:
        gt: folder with *_gtFine_instanceIds.png, at any depth.
        pred: folder with the benchmark's result files (txt with mask pngs), at any depth.
        json: write every number there, unrounded.
        semantic_score: predictions with a lower score are not painted for the semantic IoU.
    """
    import numpy as np

    from wsvis.data.cityscapes import THINGS
    from wsvis.evaluation.cityscapes_ap import cityscapes_ap
    from wsvis.evaluation.cityscapes_labels import thing_map
    from wsvis.evaluation.frame_ap import FrameAp
    from wsvis.evaluation.precision_recall import mean_over_classes
    from wsvis.evaluation.semantic_iou import confusion_matrix, iou_of_confusion, semantic_map
    from wsvis.formats.cityscapes_files import (
        coco_truth,
        read_predictions,
        read_truth,
        result_pairs,
    )

    with Screen() as screen:
        pairs = result_pairs(Path(gt), Path(pred))
        classes = len(THINGS)
        coco = FrameAp(classes, (0.5,))
        confusion = np.zeros((classes + 1, classes + 1), dtype=np.int64)

        def images() -> Iterator[tuple[np.ndarray, FrameInstances]]:
            # each image is read once for all three measures
            nonlocal confusion
            for done, (png, txt) in enumerate(pairs, start=1):
                ids = read_truth(png)
                height, width = ids.shape
                predictions = read_predictions(txt, Path(pred), height, width)
                coco.add(coco_truth(ids), predictions)
                painted = semantic_map(predictions, height, width, semantic_score)
                confusion = confusion + confusion_matrix(thing_map(ids), painted, classes)
                yield ids, predictions
                bar.update(done)

        with screen.bar("measuring images", len(pairs)) as bar:
            report: dict[str, Any] = dict(cityscapes_ap(images()))
        iou = iou_of_confusion(confusion)[:-1]
        report["coco_AP50"] = coco.numbers()["AP50"]
        report["mIoU"] = mean_over_classes(iou)
        for name, value in zip(THINGS.values(), iou, strict=True):
            report["classes"][name]["IoU"] = float(value)
        report["images"] = len(pairs)
        finish(screen, [("all", report), *report["classes"].items()], report, json)
    return report


def evaluate_tc(
    *,
    gt: str,
    results: str,
    frames: str = "",
    provider: str = FlowConfig.provider,
    truth_score: float = ConsistencyConfig.truth_score,
    score_threshold: float = InferenceConfig.score_threshold,
    symmetric: bool = ConsistencyConfig.symmetric,
    json: str = "",
) -> dict[str, Any]:
    """Temporal consistency: AP50 between predictions and the next frame's, carried along the flow.

    The flow is computed here, between the frames that were evaluated, so that it is the same for
    all results that are compared.

    Args:
        gt: YouTube-VIS JSON; only its videos and categories are used.
        results: list of {video_id, frame, category_id, score, segmentation}, or of tracks.
        frames: folder of the frames that the JSON names; empty: JPEGImages beside it.
        provider: flow estimator (dis-ultrafast, dis-fast, dis-medium, farneback, raft-small, ...).
        truth_score: least score of a carried prediction that serves as ground truth.
        score_threshold: least score of a detection (paper: 0.05).
        symmetric: also carry the other way, and give the mean.
        json: write every number there, unrounded.
    """
    import numpy as np

    from wsvis.data.images import read_image
    from wsvis.evaluation.temporal_consistency import PredictedVideo, temporal_consistency
    from wsvis.flow.provider import make_flow_provider, video_flow
    from wsvis.formats.frame_results import found_frames, open_frame_results
    from wsvis.formats.vis_truth import frame_paths, open_truth

    with Screen() as screen:
        truth = open_truth(Path(gt), need_annotations=False)
        places = open_frame_results(Path(results), truth)
        folder = Path(frames) if frames else Path(gt).parent / "JPEGImages"
        estimator = make_flow_provider(provider, device="auto")

        def videos() -> Iterator[PredictedVideo]:
            for done, video in enumerate(truth.videos.values(), start=1):
                images = [read_image(str(path)) for path in frame_paths(truth, video, folder)]
                size = (video.height, video.width)
                wrong = [i.shape[:2] for i in images if i.shape[:2] != size]
                if wrong:
                    raise InputError(
                        f"{gt}: video {video.id} is listed as {size[1]}x{size[0]}, but a frame is "
                        f"{wrong[0][1]}x{wrong[0][0]} pixels; correct the list"
                    )
                forward, backward = video_flow(np.stack(images), estimator)
                yield PredictedVideo(
                    found_frames(truth, Path(results), video, places), forward, backward
                )
                bar.update(done)

        with screen.bar("measuring videos", len(truth.videos)) as bar:
            report: dict[str, Any] = dict(
                temporal_consistency(
                    videos(), len(truth.classes), truth_score, score_threshold, symmetric
                )
            )
        report |= {"provider": provider, "truth_score": truth_score}
        finish(screen, [("all", report)], report, json)
    return report


def _refuse_unless(good: bool, message: str) -> None:
    if not good:
        raise InputError(message)
