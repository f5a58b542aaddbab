"""One Ctrl-C, a SIGTERM or a closed terminal stops a command as such, whatever it is doing.

The signal raises ``KeyboardInterrupt`` in the main thread: whoever holds something lets go of it on
the way out (MLflow's run ends KILLED, Ray's processes end), and the command exits with 128 plus the
signal's number. A library may swallow the exception; the next line shown raises it again. Nothing
needs undoing: files and entries of the store appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 5.0
"""Seconds in which more signals count as the first one: shells and process groups send several."""

STOPPED = "stopped; what was finished is kept: run the same command to go on"


class _State:
    """What this process was told: signals belong to the process, and so does this."""

    listening = False
    signal = 0
    since = 0.0
    held = 0
    """Blocks under way that are not to be cut in the middle."""


def listen_for_signals() -> None:
    """Take over the signals that stop a command; one that the caller ignores stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    if not _State.listening:
        _quiet_where_nothing_can_be_raised()
    _State.listening = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _quiet_where_nothing_can_be_raised() -> None:
    """No stack dump where a signal arrives inside a finaliser; the next line shown raises again."""
    usual = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        stopped = _State.signal and issubclass(unraisable.exc_type, KeyboardInterrupt)
        if not stopped:
            usual(unraisable)

    sys.unraisablehook = hook


def listens() -> bool:
    """Whether this process is a command, which signals end as :func:`listen_for_signals` says."""
    return _State.listening


def exit_status() -> int:
    """130 after Ctrl-C, 143 after SIGTERM, 129 after a hang-up; 0 when nothing stopped the run."""
    return 128 + _State.signal if _State.signal else 0


def raise_if_stopped() -> None:
    """Stop here where the exception of a signal was swallowed."""
    if _State.signal:
        raise KeyboardInterrupt


@contextlib.contextmanager
def not_cut_short() -> Iterator[None]:
    """A short block that no first signal interrupts: it stops the command after the block."""
    before = _State.signal
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if not _State.held and _State.signal and not before:
        raise KeyboardInterrupt


@contextlib.contextmanager
def signals_stay_ours() -> Iterator[None]:
    """While Ray starts: it would take SIGTERM for itself and print a stack dump.

    Without :func:`listen_for_signals` (in tests, in a notebook) Ray is left as it is.
    """
    if not _State.listening:
        yield
        return
    from ray._private import ray_constants, utils

    before = ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER, utils.set_sigterm_handler
    ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER = True
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER, utils.set_sigterm_handler = before


def _stop(number: int, frame: FrameType | None) -> None:
    if not _State.signal:
        _State.signal, _State.since = number, time.monotonic()
        if _State.held:
            return
        raise KeyboardInterrupt
    if time.monotonic() - _State.since > PATIENCE:  # asked for again: at once, leaving all as it is
        os._exit(128 + number)
