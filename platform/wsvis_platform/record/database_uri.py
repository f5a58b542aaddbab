"""Where MLflow's sqlite database lies, as the URI it is given and back."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

_SCHEMES = ("sqlite:///", "sqlite+pysqlite:///")


def database_uri(file: Path) -> str:
    """The tracking URI of a database in a file, whatever its path is made of.

    SQLAlchemy takes ``%`` for the start of a code and ``?`` for the start of options; both are
    coded. MLflow makes the folder of a ``sqlite:`` file without decoding its name, but of no
    ``sqlite+pysqlite:`` one.
    """
    text = str(file)
    coded = text.replace("%", "%25").replace("?", "%3F")
    return f"{_SCHEMES[coded != text]}{coded}"


def database_file(uri: str) -> Path | None:
    """The file of a tracking URI; ``None`` where it is no sqlite database."""
    scheme = next((scheme for scheme in _SCHEMES if uri.startswith(scheme)), None)
    return Path(urllib.parse.unquote(uri.removeprefix(scheme))) if scheme else None
