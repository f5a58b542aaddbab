"""A sweep's order: one outcome whatever the number and speed of workers, complete rungs only."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune

from wsvis_platform.options import SweepOptions
from wsvis_platform.results import Measurement
from wsvis_platform.study.suggestions import suggestions
from wsvis_platform.study.trial_order import Job, Setting, TrialOrder, rungs, survivors

SPACE = {"fcam.amplification": tune.uniform(1, 6), "fcam.compensation": tune.choice(["a", "b"])}
FIRST = [
    {"fcam.amplification": 2.0, "fcam.compensation": "a"},
    {"fcam.amplification": 0.1, "fcam.compensation": "a"},  # outside the space
]


def score(overrides: Any, seed: int) -> float:
    bonus = 0.3 if overrides["fcam.compensation"] == "b" else 0.0
    return 1 - abs(overrides["fcam.amplification"] - 3.5) / 5 + bonus + 0.05 * ((seed * 7) % 3)


def measured(job: Job) -> Measurement | str:
    """What a job gives; some settings fail, one of them in its second segment."""
    if job.overrides["fcam.amplification"] < 1.2 or (
        job.overrides["fcam.amplification"] > 5.5 and 0 not in job.seeds
    ):
        return "no good"
    rows = [{"ap50": score(job.overrides, seed)} for seed in job.seeds]
    return Measurement(dict(job.overrides), job.seeds, rows)


def run(workers: int, choose: random.Random, **given_options: Any) -> list[Setting]:
    """A whole sweep in which any of the running jobs may be the next to end."""
    options = SweepOptions(**given_options)
    heard: list[int] = []
    order = TrialOrder(
        total=options.num_samples,
        batch=options.batch,
        segments=rungs(options.seeds, options.prune),
        metric="ap50",
        goes_on=survivors(options.prune),
        suggest=suggestions(SPACE, options, FIRST),
        on_settled=lambda setting: heard.append(setting.number),
    )
    running: list[Job] = []
    while not order.finished:
        while len(running) < workers and (job := order.next()):
            running.append(job)
        assert running, "nothing runs and nothing is to come"
        done = running.pop(choose.randrange(len(running)))
        order.report(done, measured(done), 1.0)
    assert order.next() is None
    assert sorted(heard) == list(range(1, options.num_samples + 1))
    return order.settings


@given(
    seed=st.integers(0, 10_000),
    workers=st.integers(1, 9),
    prune=st.sampled_from(["halving", "median", "none"]),
    samples=st.integers(1, 17),
    seeds=st.sampled_from([(0,), (0, 1), (3, 0, 2, 1, 5)]),
    batch=st.integers(1, 8),
)
def test_workers_decide_nothing(seed, workers, prune, samples, seeds, batch):
    options = {"prune": prune, "num_samples": samples, "seeds": seeds, "batch": batch}
    alone = run(1, random.Random(0), **options)
    assert run(workers, random.Random(seed), **options) == alone


def test_a_longer_sweep_begins_like_a_shorter_one():
    short = run(2, random.Random(0), num_samples=12, seeds=(0, 1))
    long = run(2, random.Random(1), num_samples=20, seeds=(0, 1))
    assert long[:12] == short


def test_another_sampler_seed_is_another_sweep():
    one, two = (run(2, random.Random(0), num_samples=8, sampler_seed=n) for n in (0, 1))
    assert [s.overrides for s in one[:2]] == FIRST == [s.overrides for s in two[:2]]
    assert [s.overrides for s in one[2:]] != [s.overrides for s in two[2:]]
    # batches do not repeat each other
    assert len({s.overrides["fcam.amplification"] for s in one}) == 8


def test_first_settings_beyond_a_batch_come_in_the_next():
    settings = run(1, random.Random(0), num_samples=3, batch=1)
    assert [s.overrides for s in settings[:2]] == FIRST


def test_the_best_quarter_of_all_measured_so_far_goes_on():
    settings = run(3, random.Random(4), num_samples=24, seeds=(0, 1), batch=6)
    for last in range(6, 25, 6):
        scores = [s.score("ap50", 1) for s in settings[:last] if s.parts]
        bar = sorted(scores, reverse=True)[-(-len(scores) // 4) - 1]
        for setting in settings[last - 6 : last]:
            if setting.parts:
                assert setting.pruned == (setting.score("ap50", 1) < bar)
    done = [s for s in settings if not s.pruned and not s.error]
    assert 0 < len(done) < 12
    assert all(len(s.parts) == 2 for s in done)
    assert all(s.overrides["fcam.amplification"] == 0.1 for s in settings if not s.parts)


@pytest.mark.parametrize(
    ("prune", "seeds", "expected"),
    [
        ("halving", (7,), [(7,)]),
        ("halving", (7, 8), [(7,), (8,)]),
        ("halving", (1, 2, 3, 4), [(1,), (2, 3, 4)]),
        ("halving", (1, 2, 3, 4, 5, 6), [(1,), (2, 3, 4), (5, 6)]),
        ("median", (1, 2, 3), [(1,), (2,), (3,)]),
        ("none", (1, 2, 3), [(1,), (2, 3)]),
        ("none", (1,), [(1,)]),
    ],
)
def test_rungs_hold_every_seed_once_in_order(prune, seeds, expected):
    assert rungs(seeds, prune) == expected


def test_rules():
    assert survivors("halving")([0.1, 0.5, 0.5, 0.2]) == [False, True, False, False]
    assert survivors("halving")([0.1]) == [True]
    assert survivors("median")([0.1, 0.5]) == [True, True]
    assert survivors("median")([0.1, 0.5, 0.3]) == [False, True, True]
    assert survivors("none")([0.1, 0.5, 0.3]) == [True, True, True]


def test_the_sampler_learns_from_what_is_known():
    settings = run(2, random.Random(0), num_samples=60, seeds=(0,), prune="none")
    late = [s for s in settings[30:] if s.parts]
    assert sum(s.overrides["fcam.compensation"] == "b" for s in late) > 0.65 * len(late)
