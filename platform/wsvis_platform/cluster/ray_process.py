"""How this process is set up around Ray: its switches, its token, its ports, its log lines."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsvis.errors import InputError

DEFAULTS = {
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # a killed sweep forgets no more than its last second
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow records trials; no CSV and JSON beside it
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C stops the run: Tune would go on to the tables
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a job that is tried again needs no stack dump
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES alone; stops a warning
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # notice a dead worker, or the end, so soon
    "RAY_USAGE_STATS_ENABLED": "0",
    # workers of one per-video stage are there for the next (1 s by default)
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
"""Defaults for Ray's own switches; what the user has set stays."""


LONGEST_START = 90.0
"""Seconds that Ray's own processes may take to start."""

_AUTH_MODES = ("token", "disabled", "k8s")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """While Ray starts and runs, its processes listen on 127.0.0.1 and nowhere else.

    Ray has a switch for this, meant to spare Windows and macOS firewall questions; it is read when
    Ray is imported, so it is set in the environment (for Ray's processes) and in its constants.
    """
    from ray._private import ray_constants

    was = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with environment(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0"):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was


@contextlib.contextmanager
def patient_start() -> Iterator[None]:
    """While Ray starts: wait for its node as long as a machine full of work may need.

    Ray gives its processes 30 s, two of which import half of Python first; no setting changes that.
    """
    from ray._private import services

    usual = services.get_node

    def get_node(address: str, node: str) -> Any:
        end = time.monotonic() + LONGEST_START
        while True:
            try:
                return usual(address, node)
            except RuntimeError:  # not registered yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    services.get_node = get_node
    try:
        yield
    finally:
        services.get_node = usual


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for the time of a block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def stderr_to(file: int) -> Iterator[None]:
    """What anything in this process writes to stderr goes to a file: Ray logs from C++."""
    sys.stderr.flush()
    screen = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)


def token_known() -> bool:
    """Whether Ray would find a token, in its environment variables or in ~/.ray."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    try:
        given = os.environ.get("RAY_AUTH_TOKEN_PATH")
        file = Path(given) if given else Path.home() / ".ray" / "auth_token"
        return bool(file.read_text(encoding="utf-8").strip())
    except (OSError, RuntimeError, ValueError):
        return False  # no home, one that belongs to somebody else, no such file, no text


def check_auth_mode() -> None:
    """Refuse a RAY_AUTH_MODE that Ray does not know: it would do without tokens, and not say so.

    Raises:
        InputError: one line.
    """
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is not None and mode.lower() not in _AUTH_MODES:
        raise InputError(
            f"RAY_AUTH_MODE is {mode!r} in the environment; Ray knows {', '.join(_AUTH_MODES)}: "
            "unset it to use a token"
        )


def use_token() -> None:
    """Token authentication, unless the user has switched it off by RAY_AUTH_MODE."""
    if "RAY_AUTH_MODE" in os.environ:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    from ray._raylet import Config  # pyright: ignore[reportAttributeAccessIssue]

    Config.initialize("")  # Ray read its mode when it was imported
