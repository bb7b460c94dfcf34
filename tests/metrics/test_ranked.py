"""Metrics of ranked candidates: values by hand, ties and undefined cases."""

import numpy as np
import pytest

from bert_my import metrics
from tests.metrics.made_scores import undefined

# Undefined scores are NaN without a warning.
pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("error::UserWarning"),
]


def test_ranking_golden_values():
    # Question 5 has its relevant ones second and third, question 2 its only one first;
    # question 9 has none and does not count. The rows of the questions lie apart.
    groups = np.array([5, 2, 5, 9, 5, 2, 9, 5])
    targets = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    scores = np.array([0.3, 0.9, 0.8, 0.7, 0.5, 0.2, 0.1, -1], np.float32)
    assert metrics.ranking(targets, scores, groups=groups) == pytest.approx(
        {"mrr": (1 / 2 + 1) / 2, "map": ((1 / 2 + 2 / 3) / 2 + 1) / 2}
    )


def test_ranking_ties_keep_the_order_of_the_rows():
    # Of four alike the third and fourth are relevant; the last row has a better score.
    targets, scores = np.array([0, 0, 1, 1, 0]), np.array([0.5, 0.5, 0.5, 0.5, 0.6])
    assert metrics.ranking(targets, scores, np.zeros(5, int)) == pytest.approx(
        {"mrr": 1 / 4, "map": (1 / 4 + 2 / 5) / 2}
    )


def test_ranking_identical_lists_score_best():
    targets, groups = np.array([0, 1, 1, 0, 1]), np.array([3, 3, 3, 1, 1])
    assert metrics.ranking(targets, targets * 1.0, groups) == {"mrr": 1.0, "map": 1.0}


def test_ranking_without_a_relevant_candidate_is_undefined():
    scores = metrics.ranking(np.zeros(3, int), np.arange(3.0), np.array([0, 0, 1]))
    assert undefined(scores) == {"mrr", "map"}


@pytest.mark.parametrize("num_examples", [0, 3])
def test_no_example_and_broken_predictions_are_undefined(num_examples):
    broken = np.full((num_examples, 2), np.nan, np.float32)
    ids = np.arange(num_examples) % 2
    scores = metrics.ranking(ids, broken[:, 0], ids)
    assert undefined(scores) == set(scores)
