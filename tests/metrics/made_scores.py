"""Helpers of the tests of metrics."""

import numpy as np
import pytest

from bert_my import metrics


def scores_of(functions, targets, predictions):
    scores = {}
    for function in functions:
        scores.update(function(targets, predictions))
    assert {type(value) for value in scores.values()} == {float}
    return scores


def one_hot(label_ids, num_labels):
    return np.eye(num_labels, dtype=np.float32)[np.asarray(label_ids)]


def check_perfect(scores):
    for name, value in scores.items():
        best = 0.0 if metrics.is_lower_better(name) else 1.0
        assert value == pytest.approx(best), name


def undefined(scores):
    return {name for name, value in scores.items() if np.isnan(value)}
