"""A few seconds of the fuzz test on every reader; ``make fuzz`` runs ten minutes of it."""

from __future__ import annotations

import faulthandler
import os
import signal
import time

import pytest

from fuzz import children
from fuzz.run import fuzz


@pytest.mark.slow
def test_unsound_files_are_read_or_refused_in_one_line(tmp_path):
    tried, failures = fuzz(25, seed=1, keep=tmp_path)
    assert not failures, "\n".join(failures)
    assert min(tried.values()) >= 1


def test_crashes_hangs_and_full_memory_are_seen(monkeypatch):
    monkeypatch.setattr(children, "SECONDS", 0.5)

    def spin() -> None:
        while True:
            pass

    def crash() -> None:
        faulthandler.disable()  # meant: no stack dump on the screen
        os.kill(os.getpid(), signal.SIGSEGV)

    ways = {
        1: (crash, "status -11"),
        2: (spin, "takes more than"),
        3: (lambda: bytearray(2 << 30), "MemoryError"),
        4: (lambda: 1 / 0, "ZeroDivisionError"),
    }
    for number, (way, said) in ways.items():

        def run(case: int, way=way, number=number) -> None:
            if case == number:
                way()

        begun, last, reason = children.first_failure(range(9), run, time.monotonic() + 100)
        assert (begun, last) == (number + 1, number)
        assert reason is not None
        assert said in reason
    assert children.first_failure(range(9), lambda case: None, time.monotonic() + 100)[2] is None
