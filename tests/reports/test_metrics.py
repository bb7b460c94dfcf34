"""Metrics: hand-computed values, identical lists, and skewed cases."""

import numpy as np
import pytest

from bert_my.reports import metrics


def classification(targets, predictions):
    return {
        **metrics.precision_recall_f1(targets, predictions),
        **metrics.auc(targets, predictions),
    }


TARGETS = np.array([1, 0, 1, 1, 0, 0, 0, 1])
POSITIVE = np.array([0.9, 0.2, 0.4, 0.6, 0.7, 0.1, 0.45, 0.8])
PROBABILITIES = np.stack([1 - POSITIVE, POSITIVE], -1)


def test_binary_golden_values():
    # Predicted positive: rows 0, 3, 4, 7, three of them right; one positive is missed.
    scores = classification(TARGETS, PROBABILITIES)
    assert scores["precision"] == pytest.approx(3 / 4)
    assert scores["recall"] == pytest.approx(3 / 4)
    assert scores["f1"] == pytest.approx(3 / 4)
    # Of the 16 pairs of a positive and a negative 13 are in the right order.
    assert scores["auc"] == pytest.approx(13 / 16)
    assert metrics.accuracy(TARGETS, PROBABILITIES) == {"eval_accuracy": 6 / 8}


def test_recall_is_not_precision():
    scores = classification(np.array([1, 1, 1, 0]), np.eye(2)[[1, 0, 0, 0]])
    assert scores["precision"] == 1.0
    assert scores["recall"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx(0.5)


@pytest.mark.parametrize("num_labels", [2, 4])
def test_identical_lists_score_one(num_labels):
    targets = np.arange(20) % num_labels
    scores = classification(targets, np.eye(num_labels)[targets])
    scores.update(metrics.accuracy(targets, np.eye(num_labels)[targets]))
    assert set(scores.values()) == {1.0}


def test_more_labels_are_averaged():
    targets = np.array([0, 0, 1, 2])
    predicted = np.array([0, 1, 1, 1])
    scores = classification(targets, np.eye(3)[predicted])
    assert scores["precision"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert scores["recall"] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_auc_is_nan_without_both_labels():
    assert np.isnan(classification(np.zeros(3, int), np.eye(2)[[0, 1, 0]])["auc"])
