"""Metrics of numbers: published values and undefined cases."""

import numpy as np
import pytest

from bert_my import metrics
from tests.metrics.made_scores import check_perfect, scores_of, undefined

# Undefined scores are NaN without a warning.
pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("error::UserWarning"),
]

REGRESSION = (metrics.correlations, metrics.errors)


def test_correlations_of_a_published_set():
    # Anscombe 1973, set I: r = 0.816. Spearman: 1 - 6 sum(d^2) / n (n^2 - 1), no ties.
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    y = np.array(y, np.float32)
    difference = np.argsort(np.argsort(x)) - np.argsort(np.argsort(y))
    scores = metrics.correlations(y, x)
    assert scores["pearson"] == pytest.approx(0.81642, abs=5e-6)
    expected = 1 - 6 * np.sum(difference**2) / (11 * (11**2 - 1))
    assert scores["spearman"] == pytest.approx(expected)


@pytest.mark.parametrize("num_examples", [2, 7])
def test_regression_identical_lists_score_best(num_examples):
    values = np.linspace(0, 5, num_examples).astype(np.float32)
    check_perfect(scores_of(REGRESSION, values, values))


@pytest.mark.parametrize("swapped", [False, True])
def test_correlations_with_a_constant_are_undefined(swapped):
    sides = [np.array([1.0, 2, 4]), np.full(3, 0.1, np.float32)]
    scores = metrics.correlations(*(reversed(sides) if swapped else sides))
    assert undefined(scores) == {"pearson", "spearman"}


def test_errors_golden_values():
    targets = np.array([1, 2, 3, 4], np.float32)
    predictions = np.array([1, 2.5, 1, 4], np.float32)
    expected = {"mse": (0.25 + 4) / 4, "mae": (0.5 + 2) / 4}
    assert metrics.errors(targets, predictions) == pytest.approx(expected)


@pytest.mark.parametrize("num_examples", [0, 3])
def test_no_example_and_broken_predictions_are_undefined(num_examples):
    broken = np.full((num_examples, 2), np.nan, np.float32)
    ids = np.arange(num_examples) % 2
    scores = scores_of(REGRESSION, ids, broken[:, 0])
    assert undefined(scores) == set(scores)
