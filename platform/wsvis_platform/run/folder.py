"""The folder of a ``wsvis run``: made, known again when the run goes on, else refused."""

from __future__ import annotations

import os
from pathlib import Path

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.files.atomic import write_text
from wsvis_platform.config_files import read_config, write_config
from wsvis_platform.run_lock import LOCK


def open_folder(out: Path, config: Config, command: str) -> None:
    """Make the folder of a run, with its configuration and command.

    Args:
        out: absent, empty, or the folder of a run of the same data, which then goes on.
        config: every setting.
        command: what the user typed.

    Raises:
        InputError: it holds something else, or the run of other data, or cannot be made.
    """
    known = out / "config.json"
    if known.is_file():
        before = read_config(known, Config()).data.path
        if before != config.data.path:
            raise InputError(
                f"--out {out}: holds the run of {before or 'the embedded clips'}; give another "
                "folder, or remove it"
            )
    elif out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
    elif out.is_dir() and any(path.name not in ("store", LOCK) for path in out.iterdir()):
        raise InputError(f"--out {out}: holds other files; give a new folder")
    try:
        os.makedirs(out, exist_ok=True)
        write_config(known, config)  # first: by it the folder is known again
        write_text(str(out / "command.txt"), command + "\n")
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({error.strerror}); give another folder"
        ) from None
