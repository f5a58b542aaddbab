"""Names of runs: each is one folder of the output, so it must be a name that a folder can have."""

from __future__ import annotations

import re
import unicodedata

from wsvis.errors import InputError

_LONGEST = 200
"""Bytes; file systems allow 255 for a name, and files get names that begin with the run's."""


def check_run_name(option: str, name: str) -> None:
    """Refuse a name that would lie outside the output, or that a folder or MLflow cannot have.

    Args:
        option: what the user calls it, for the message.
        name: as given; empty means that the caller chooses one.

    Raises:
        InputError: one line with the reason.
    """
    if not name:
        return
    cure = "give a plain name, such as sweep-1, and the folder by --output"
    shown = ascii(name if len(name) <= 60 else f"{name[:57]}...")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InputError(f"{option} {shown}: is no valid text (UTF-8); {cure}") from None
    if size > _LONGEST:
        raise InputError(f"{option} {shown}: has {size} bytes, at most {_LONGEST} fit; {cure}")
    # Cc: control characters, Cf: marks that turn the direction of text, Zl and Zp: line breaks
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in name):
        raise InputError(f"{option} {shown}: holds a control character; {cure}")
    if "/" in name or "\\" in name:
        raise InputError(f"{option} {shown}: holds a slash; {cure}")
    if name in (".", "..") or name != name.strip():
        raise InputError(
            f"{option} {shown}: is no name of a folder, or begins or ends with a blank; {cure}"
        )


def row_file_name(name: str) -> str:
    """A row of a table as the name of a file: ``flowIRN, MaskConsist`` as flowIRN_MaskConsist."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_.") or "row"
