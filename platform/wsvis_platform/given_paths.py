"""Paths as a user gives them, made absolute once: Ray's workers stand in other folders."""

from __future__ import annotations

import os

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.settings import flatten, with_overrides
from wsvis.weights_files import FILES, WEIGHTS, names_a_file

PATHS = ("data.path", "data.frames", "data.split_file", *FILES)
"""Settings that are files or folders; empty where there is none."""


def absolute_path(path: str, option: str) -> str:
    """A path from the root on; ``~`` is the home folder, links stay what they are.

    Args:
        path: relative ones begin where the command was called.
        option: what to name in an error, such as ``--output``.

    Raises:
        InputError: no path can be called so, or the folder of the call is gone; one line.
    """
    if "\0" in path:
        raise InputError(f"{option} is {path!r}; no path holds the character \\0, give another")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{option} is {path!r}, whose name is not UTF-8; rename it, for instance with convmv"
        ) from None
    try:
        folder = os.getcwd()  # Ray cannot start in a folder that is gone, even for absolute paths
    except FileNotFoundError:
        raise InputError(
            f"{option} is {path!r}, but the working folder of this command was deleted; change to "
            "one that is there"
        ) from None
    # not abspath: behind a link, .. is not the folder before it
    return os.path.join(folder, os.path.expanduser(path))


def absolute_settings(config: Config) -> Config:
    """A configuration whose files and folders are named from the root on.

    Raises:
        InputError: as :func:`absolute_path`.
    """
    given = {name: str(value) for name, value in flatten(config).items() if value}
    paths = {name: path for name, path in given.items() if name in PATHS}
    paths |= {n: path for n, path in given.items() if n in WEIGHTS and names_a_file(path)}
    return with_overrides(
        config, {name: absolute_path(path, f"--{name}") for name, path in paths.items()}
    )
