"""The one error a user may see for bad input: one line that names the thing and the cure."""

from __future__ import annotations

import re
from typing import Any

MAX_LINE = 500
"""Characters of a line that a user sees; what a file holds may be megabytes long."""
_GAP = " ... "
_BREAKS = re.compile(r"\s*[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]\s*")


class InputError(ValueError):
    """A file, option or value from outside is unusable.

    The message is one line that names the file (or option) and says how to mend it. Command line
    tools print it without a traceback and exit with status 2; per-video jobs record it as the
    reason why a video was quarantined. Whatever it quotes, it stays short: see :func:`one_line`.
    """

    def __init__(self, message: str) -> None:
        # room for the "error: " or "problem: " that a command puts before it
        super().__init__(one_line(message, MAX_LINE - 20))


def one_line(text: str, most: int = MAX_LINE) -> str:
    """The text as one printable line of at most ``most`` characters.

    What is too long loses its middle: the file stands at the beginning and the cure at the end.
    Characters that would steer a terminal, or that no encoding knows, are written as escapes.
    """
    if len(text) > 8 * most:  # the rest need not be looked at
        text = text[: 4 * most] + _GAP + text[-4 * most :]
    text = _BREAKS.sub(" ", text).strip()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) <= most:
        return text
    left = most - len(_GAP)
    return text[: left - left // 2] + _GAP + text[-(left // 2) :]


def shown_value(value: Any, most: int = 60) -> str:
    """A value from outside as an error may quote it: short, however large or deep it is."""
    if isinstance(value, dict):
        return f"an object of {len(value)} names"
    if isinstance(value, list | tuple):
        if len(value) > 4 or any(isinstance(part, list | tuple | dict) for part in value):
            return f"a list of {len(value)} elements"
        return one_line("[" + ", ".join(shown_value(part, most // 2) for part in value) + "]", most)
    if isinstance(value, int) and abs(value) >= 10**most:
        return f"a whole number of {value.bit_length()} bits"
    return one_line(repr(value[: 4 * most] if isinstance(value, str) else value), most)
