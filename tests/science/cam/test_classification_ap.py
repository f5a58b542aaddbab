"""Average precision of a classifier over frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reference import pooling as slow
from wsvis.cam.classification_ap import (
    average_precision,
    class_aps,
    mean_average_precision,
)


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.integers(0, 6), min_size=1, max_size=20), bits=st.integers(0, 2**20 - 1))
def test_average_precision_equals_the_loops_and_sklearn(scores, bits):
    positives = np.array([bool(bits >> i & 1) for i in range(len(scores))])
    values = np.array(scores, dtype=np.float64)
    ap = average_precision(values, positives)
    expected = slow.average_precision(values.tolist(), positives.tolist())
    assert ap == pytest.approx(expected, nan_ok=True)
    if positives.any():
        assert ap == pytest.approx(average_precision_score(positives, values))


def test_average_precision_by_hand():
    """Ranks + - +: precision 1 at recall 1/2 and 2/3 at recall 1: 1/2 + 1/3 = 5/6."""
    scores, positives = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert average_precision(scores, positives) == pytest.approx(5 / 6)


def test_mean_skips_classes_that_no_frame_shows():
    scores = np.array([[0.9, 0.1], [0.1, 0.2]])
    aps = class_aps(scores, np.array([[True, False], [False, False]]))
    assert aps[0] == 1.0
    assert math.isnan(aps[1])
    assert mean_average_precision(aps) == 1.0
    assert math.isnan(mean_average_precision(aps[1:]))
