"""The one error a user may see for bad input: one line that names the thing and the cure."""

from __future__ import annotations


class InputError(ValueError):
    """A file, option or value from outside is unusable.

    The message is one line that names the file (or option) and says how to mend it. Command line
    tools print it without a traceback and exit with status 2; per-video jobs record it as the
    reason why a video was quarantined.
    """
