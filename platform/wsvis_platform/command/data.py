"""``wsvis data``: write the embedded data set, look into any data set, save its held-out split."""

from __future__ import annotations

from typing import Literal

from wsvis.data.config import DataConfig
from wsvis.errors import InputError
from wsvis_platform.console import Screen
from wsvis_platform.report.findings_table import show_findings

SHOWN = 1000
"""Problems that are listed; a file that is wrong throughout has one for each of its lines."""
Kind = Literal["guess", "ytvis", "video-files", "davis", "cityscapes"]


def data_synth(
    out: str,
    *,
    split: Literal["train", "val"] = "train",
    videos: int = 0,
    as_videos: bool = False,
    frames: int = 0,
    height: int = 0,
    width: int = 0,
) -> None:
    """Write clips of the embedded data set: YouTube-VIS JSON with JPEG frames, or video files.

    There is no seed: a clip is a function of the generator's version, the split and its number, so
    that everybody's ``synthetic`` is the same.

    Args:
        out: a folder that does not exist yet.
        split: which half; the two share no texture.
        videos: number of clips; 0 = 60, or 12 video files.
        as_videos: write MP4 files with a labels.csv of classes per frame and no masks, as users
            bring them to ``wsvis run``.
        frames: frames per clip, 0 = as frozen.
        height: pixels, 0 = as frozen.
        width: pixels, 0 = as frozen.
    """
    from wsvis.data.synthetic import synthetic_dataset
    from wsvis.data.write_ytvis import write_ytvis
    from wsvis.exports.video_files import write_video_files

    videos = videos or (12 if as_videos else 60)
    sizes = {"frames": frames, "height": height, "width": width}
    dataset = synthetic_dataset(split, videos, {k: v for k, v in sizes.items() if v})
    with Screen() as screen, screen.bar("writing clips", videos) as bar:
        write = write_video_files if as_videos else write_ytvis
        path = write(dataset, out, bar.update)
        screen.line(f"{path}: {videos} clips, {len(dataset.classes)} classes")


def data_check(
    path: str,
    *,
    kind: Kind = "guess",
    frames: str = "",
    decode: bool = True,
    keep_readable: bool = DataConfig.keep_readable,
) -> None:
    """Say what is in a data set and everything that is wrong with it; exit status 2 if anything is.

    Args:
        path: a YouTube-VIS JSON, a folder of videos with labels.csv, or a DAVIS-style folder.
        kind: what is there; ``guess`` looks.
        frames: folder of the frames that a YouTube-VIS JSON names; empty: JPEGImages beside it.
        decode: decode every frame; otherwise only ask whether the files are there.
        keep_readable: of a video file that breaks off, take what can be read.

    Raises:
        InputError: something is wrong (after all of it has been printed).
    """
    from wsvis.data.validate import check_dataset, guess_kind

    found_kind = guess_kind(path) if kind == "guess" else kind
    config = DataConfig(
        kind=found_kind, path=path, frames=frames, split="all", keep_readable=keep_readable
    )
    with Screen() as screen:
        with screen.bar("reading videos") as bar:
            findings = check_dataset(config, decode, bar.update)
        if findings.videos:
            show_findings(screen, findings)
        for note in findings.notes:
            screen.warn(note)
        for problem in findings.problems[:SHOWN]:
            screen.line(f"problem: {problem}")
        if len(findings.problems) > SHOWN:
            screen.line(f"and {len(findings.problems) - SHOWN} problems more")
        if findings.problems:
            count = len(findings.problems)
            raise InputError(
                f"{path}: {count} problem{'s' if count > 1 else ''}; each is listed with its cure"
            )
        screen.line(f"{path}: nothing is wrong")


def data_split(
    path: str,
    out: str,
    *,
    kind: Kind = "guess",
    frames: str = "",
    held_out_per_class: int = DataConfig.held_out_per_class,
    seed: int = 0,
) -> None:
    """Save the held-out split of the paper as JSON, to be given back as ``--data.split-file``.

    Args:
        path: the data set, as for ``wsvis data check``.
        out: the JSON file to write.
        kind: what is there; ``guess`` looks.
        frames: folder of the frames that a YouTube-VIS JSON names; empty: JPEGImages beside it.
        held_out_per_class: videos per class for validation; small classes give at most half.
        seed: which split.
    """
    from wsvis.data.load import read_dataset
    from wsvis.data.remarks import nothing_to_learn
    from wsvis.data.splits import save_split, split_dataset
    from wsvis.data.validate import guess_kind

    config = DataConfig(
        kind=guess_kind(path) if kind == "guess" else kind,
        path=path,
        frames=frames,
        split="all",
        held_out_per_class=held_out_per_class,
        split_seed=seed,
    )
    if config.kind == "cityscapes":
        raise InputError(f"{path}: Cityscapes has its own split; use data.split train and val")
    dataset = read_dataset(config)
    split = split_dataset(dataset, held_out_per_class, seed)
    if not split.val:
        reason = nothing_to_learn(dataset) or "no class has two videos, so that none is held out"
        raise InputError(f"{path}: {reason}; no split is written")
    save_split(split, out)
    Screen().line(f"{out}: {len(split.train)} train, {len(split.val)} val, hash {split.hash[:12]}")
