"""A training over two workers, one of which is killed: all kinds of training must survive it."""

import os
import signal

import psutil

from wsvis_platform.training.driver import train_distributed


def train_with_a_killed_worker(step, data, store):
    """Train a step's network and kill worker 1 at step 20, with states every 6; all starts."""
    starts, killed = [], []

    def kill_worker_1(numbers):
        if numbers["step"] == 20 and not killed:
            killed.extend(start.pid for start in starts if start.worker == 1)
            os.kill(killed[0], signal.SIGKILL)

    train_distributed(
        step,
        data,
        store,
        kill_worker_1,
        workers=2,
        checkpoint_every=6,
        started=starts.append,
    )
    assert len(killed) == 1
    assert not psutil.pid_exists(killed[0])
    first, second = starts[:2], starts[2:]
    assert [start.step for start in first] == [0, 0]
    assert sorted(start.worker for start in second) == [0, 1]
    assert not {start.pid for start in first} & {start.pid for start in second}
    return first, second
