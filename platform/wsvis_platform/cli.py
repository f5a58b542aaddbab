"""The ``wsvis`` command: finds the sub-command asked for and imports nothing else.

wsvis run                             from videos and class labels to masks, tracks and films
wsvis data synth | check | split      data sets
wsvis evaluate vis | frames | cityscapes | tc | pictures
wsvis export                          tracks for COCO, DAVIS, CVAT, the server, ...
wsvis track
wsvis predict
wsvis doctor
wsvis ui                              MLflow on the runs of a folder
wsvis store retry                     videos that were set aside
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from wsvis import __version__
from wsvis.errors import InputError
from wsvis.settings import suggestion
from wsvis_platform.console import run_command

COMMANDS: dict[tuple[str, ...], tuple[str, str, str]] = {
    ("run",): ("run", "run", "videos with class labels to masks, tracks and films"),
    ("data", "synth"): ("data", "data_synth", "write the embedded clips to a folder"),
    ("data", "check"): ("data", "data_check", "what is in a data set, what is wrong"),
    ("data", "split"): ("data", "data_split", "save the paper's held-out split"),
    ("evaluate", "vis"): ("evaluate", "evaluate_vis", "YouTube-VIS AP and AR of tracks"),
    ("evaluate", "frames"): ("evaluate", "evaluate_frames", "AP of frame instances"),
    ("evaluate", "cityscapes"): (
        "evaluate",
        "evaluate_cityscapes",
        "Cityscapes instance-level AP",
    ),
    ("evaluate", "tc"): ("evaluate", "evaluate_tc", "temporal consistency"),
    ("evaluate", "pictures"): (
        "track",
        "draw_results",
        "films, contact sheets, curves; worst first",
    ),
    ("export",): ("export", "export", "tracks for COCO, DAVIS, CVAT, the server, ..."),
    ("track",): ("track", "track", "frame predictions to tracks"),
    ("predict",): ("predict", "predict", "objects in your own videos, by a detector"),
    ("experiment",): ("experiment", "experiment", "sweeps and tables, by their names"),
    ("doctor",): ("doctor", "doctor", "what this machine has, and what it lacks"),
    ("ui",): ("ui", "ui", "MLflow's pages on the runs of an output folder"),
    ("store", "retry"): ("store", "store_retry", "try videos again that were set aside"),
}
"""Words -> module, function, one line of help."""
WITH_SETTINGS = frozenset({("run",), ("experiment",)})
"""Those that take every setting by its dotted name: they read their arguments themselves."""


def main() -> None:
    """Entry point of the ``wsvis`` command."""
    run_command(lambda: dispatch(sys.argv[1:]))


def dispatch(arguments: Sequence[str]) -> None:
    """Run the sub-command that the arguments name.

    Raises:
        InputError: no such sub-command, or an argument it does not take; one line.
    """
    words = tuple(arguments[:2])
    if words and words[0] in ("-V", "--version"):
        print(f"wsvis {__version__}")
        return
    if not words or words[0] in ("-h", "--help"):
        print(_overview(()))
        return
    for length in (2, 1):
        if words[:length] in COMMANDS:
            module, name, _ = COMMANDS[words[:length]]
            function = getattr(import_module(f"wsvis_platform.command.{module}"), name)
            if words[:length] in WITH_SETTINGS:
                function(list(arguments[length:]))
                return
            _call(function, list(arguments[length:]), "wsvis " + " ".join(words[:length]))
            return
    group = [command for command in COMMANDS if command[0] == words[0]]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_overview(words[:1]))
        return
    known = {" ".join(command) for command in COMMANDS}
    near = {command[1] for command in group} if group else {command[0] for command in COMMANDS}
    given = words[1] if group else words[0]
    hint = suggestion(given, near or known)
    raise InputError(f"wsvis {' '.join(words[: 2 if group else 1])}: no such command; {hint}")


def _call(function: Callable[..., Any], arguments: list[str], program: str) -> None:
    from wsvis_platform.arguments import call_with_arguments

    call_with_arguments(function, arguments, program=program)


def _overview(prefix: tuple[str, ...]) -> str:
    rows = [
        (" ".join(c), text) for c, (_, _, text) in COMMANDS.items() if c[: len(prefix)] == prefix
    ]
    width = max(len(command) for command, _ in rows)
    lines = [f"  wsvis {command:<{width}}  {text}" for command, text in rows]
    return "\n".join(
        [
            "Weakly supervised video instance segmentation.",
            "",
            *lines,
            "",
            "More: add --help; --version tells which wsvis this is",
        ]
    )


if __name__ == "__main__":
    main()
